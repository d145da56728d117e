// A page of the origin that the browser takes the server for: it may do whatever the server lets it.
const ask = (method, path, body) => {
  const options = { method };
  if (body) Object.assign(options, { body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  return fetch(path, options).then(async (reply) => [reply.status, await reply.text()]);
};

async function framed(path) {
  const made = Object.assign(document.createElement("iframe"), { src: path });
  const loaded = new Promise((done) => (made.onload = done));
  document.body.append(made);
  await loaded;
  // A document of this origin could be looked into; the notice that takes its place can't.
  return made.contentDocument === null ? "refused" : "shown";
}

Promise.all([
  ask("GET", "/api/agents"),
  ask("POST", "/api/agents", { name: "own", url: "http://127.0.0.1:9" }),
  ask("PUT", "/api/llm/config", { default_model: "own" }),
  ask("DELETE", "/api/memory/nobody"),
  framed("/docs/"),
  framed("/openapi.json"),
]).then((report) => tell(report));
