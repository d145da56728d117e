// A web interface at an origin of its own that the operator has allowed.
const studio = new URLSearchParams(location.search).get("studio");
const ask = (method, path, body) => {
  const headers = { "content-type": "application/json", "x-request-id": "from-the-gui" };
  return fetch(studio + path, { method, headers, credentials: "include", body: body && JSON.stringify(body) })
    .then(async (reply) => [reply.status, reply.headers.get("x-request-id"), await reply.json()]);
};

(async () => [
  await ask("POST", "/api/agents", { name: "gui", url: "http://127.0.0.1:9" }),
  await ask("GET", "/api/agents/gui"),
  await ask("DELETE", "/api/agents/gui"),
  await ask("POST", "/v1/chat", { prompt: "Hello" }),
])().then((report) => tell(report));
