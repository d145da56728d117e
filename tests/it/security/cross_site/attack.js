// Everything that a page can try with the API at another origin. Each attempt tells what it could read.
const studio = new URLSearchParams(location.search).get("studio");
const port = new URL(studio).port;
const bases = [studio, `http://localhost:${port}`, `http://rebound.test:${port}`];
const report = [];
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const within = (promise) => Promise.race([promise, pause(5000).then(() => "nothing")]);
let number = 0;

async function attempt(name, run) {
  let read;
  try {
    read = await within(run());
  } catch (error) {
    read = "error";
  }
  report.push({ name, read: String(read ?? "nothing") });
}

// What the attempts would have the server do.
const agent = () => JSON.stringify({ name: `evil-${number++}`, url: "http://127.0.0.1:9" });
const tool = () => JSON.stringify({ name: `evil-${number++}`, type: "http_request", config: { base_url: "http://127.0.0.1:9" } });
const source = () => JSON.stringify({ name: `evil-${number++}`, type: "api", url: "http://127.0.0.1:9" });
const chat = () => JSON.stringify({ prompt: "I am somebody else", user_id: "ada" });
const message = "/api/memory/ada/message?role=system&content=obey";
const call = "/api/agents/billing/call?endpoint=/orders&method=DELETE";

const shown = async (reply) => (reply.type === "opaque" || reply.type === "error" ? "nothing" : `read ${reply.status}: ${await reply.text()}`);
const post = (url, body, options = {}) => fetch(url, { method: "POST", mode: "no-cors", body, ...options }).then(shown);
const parts = (text) => {
  const form = new FormData();
  form.append("role", "user");
  form.append("content", text);
  return form;
};

function element(tag, attributes) {
  const made = Object.assign(document.createElement(tag), attributes);
  return new Promise((done) => {
    made.onload = () => done("nothing");
    made.onerror = () => done("nothing");
    document.body.append(made);
    setTimeout(() => done("nothing"), 1500);
  });
}

async function frame(attributes) {
  const made = Object.assign(document.createElement("iframe"), attributes);
  const loaded = new Promise((done) => (made.onload = done));
  document.body.append(made);
  await Promise.race([loaded, pause(2000)]);
  try {
    return `read ${made.contentWindow.document.body.innerText}`;
  } catch {
    return "nothing";
  }
}

// A form's text/plain body is `name=value`; the pieces are cut so that the whole is JSON.
async function form(url, method, enctype, fields) {
  const target = `frame-${number++}`;
  const into = Object.assign(document.createElement("iframe"), { name: target });
  document.body.append(into);
  const made = Object.assign(document.createElement("form"), { action: url, method, target });
  made.enctype = enctype;
  for (const [name, value] of fields) made.append(Object.assign(document.createElement("input"), { name, value }));
  document.body.append(made);
  made.submit();
  await pause(500);
  try {
    return `read ${into.contentWindow.document.body.innerText}`.trim().replace(/^read$/, "nothing");
  } catch {
    return "nothing";
  }
}

const asFields = (json) => [[json.slice(0, -1) + ',"x":"', '"}']];

function xhr(url, body, credentials) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.withCredentials = credentials;
    request.onload = () => done(`read ${request.responseText}`);
    request.onerror = () => done("nothing");
    request.send(body);
  });
}

const inWorker = (code) => {
  const worker = new Worker(URL.createObjectURL(new Blob([code])));
  return new Promise((done) => (worker.onmessage = (event) => done(event.data)));
};

async function all(base) {
  await attempt("fetch of a blob", () => post(`${base}/api/agents`, new Blob([agent()])));
  await attempt("fetch of a blob that adds a tool", () => post(`${base}/api/tools`, new Blob([tool()])));
  await attempt("fetch of a blob that adds a source", () => post(`${base}/api/datasources`, new Blob([source()])));
  await attempt("fetch of a blob that chats", () => post(`${base}/v1/chat`, new Blob([chat()])));
  await attempt("fetch of a blob that runs a tool", () => post(`${base}/api/tools/weather/execute`, new Blob(['{"arguments": {"url": "/"}}'])));
  await attempt("fetch of bytes", () => post(`${base}/api/agents`, new TextEncoder().encode(agent())));
  await attempt("fetch of text", () => post(`${base}/api/agents`, agent()));
  await attempt("fetch of a form", () => post(`${base}/api/memory/ada/message`, new URLSearchParams({ role: "user", content: "obey" })));
  await attempt("fetch of parts", () => post(`${base}/api/memory/ada/message`, parts("obey")));
  await attempt("fetch without a body", () => post(`${base}${message}`));
  await attempt("fetch that has an agent delete", () => post(`${base}${call}`));
  await attempt("fetch that tests an agent", () => post(`${base}/api/agents/billing/test`));
  await attempt("fetch without a referrer", () => post(`${base}/api/agents`, new Blob([agent()]), { referrerPolicy: "no-referrer" }));
  await attempt("fetch with credentials", () => post(`${base}/api/agents`, new Blob([agent()]), { credentials: "include" }));
  await attempt("fetch that outlives the page", () => post(`${base}/api/agents`, new Blob([agent()]), { keepalive: true }));
  await attempt("fetch with CORS", () => post(`${base}/api/agents`, new Blob([agent()]), { mode: "cors" }));
  await attempt("fetch of JSON with CORS", () => post(`${base}/api/agents`, agent(), { mode: "cors", headers: { "content-type": "application/json" } }));
  await attempt("PUT", () => post(`${base}/api/llm/config`, '{"default_model": "evil"}', { mode: "cors", method: "PUT" }));
  await attempt("PATCH", () => post(`${base}/api/llm/config`, '{"default_model": "evil"}', { mode: "cors", method: "PATCH" }));
  await attempt("DELETE", () => post(`${base}/api/memory/ada`, undefined, { mode: "cors", method: "DELETE" }));
  await attempt("XMLHttpRequest", () => xhr(`${base}/api/agents`, agent(), false));
  await attempt("XMLHttpRequest with credentials", () => xhr(`${base}/api/agents`, new Blob([agent()]), true));
  await attempt("beacon of text", async () => void navigator.sendBeacon(`${base}/api/agents`, agent()));
  await attempt("beacon of a blob", async () => void navigator.sendBeacon(`${base}/api/agents`, new Blob([agent()])));
  await attempt("beacon of JSON", async () => void navigator.sendBeacon(`${base}/api/agents`, new Blob([agent()], { type: "application/json" })));
  await attempt("beacon of parts", async () => void navigator.sendBeacon(`${base}${message}`, parts("obey")));
  await attempt("form of text", () => form(`${base}/api/agents`, "post", "text/plain", asFields(agent())));
  await attempt("form of fields", () => form(`${base}${message}`, "post", "application/x-www-form-urlencoded", [["role", "user"]]));
  await attempt("form of parts", () => form(`${base}${message}`, "post", "multipart/form-data", [["role", "user"]]));
  await attempt("form that gets", () => form(`${base}/api/agents/health/all`, "get", "text/plain", []));
  await attempt("sandboxed frame", () => frame({
    sandbox: "allow-scripts",
    srcdoc: `<script>fetch(${JSON.stringify(`${base}/api/agents`)}, {method: "POST", mode: "no-cors", body: new Blob([${JSON.stringify(agent())}])})<\/script>`,
  }));
  await attempt("worker", () => inWorker(
    `fetch(${JSON.stringify(`${base}/api/agents`)}, {method: "POST", mode: "no-cors", body: new Blob([${JSON.stringify(agent())}])})
       .then(() => postMessage("nothing"), () => postMessage("nothing"))`,
  ));
  await attempt("ping of a link", async () => {
    const link = Object.assign(document.createElement("a"), { href: "#here", ping: `${base}${message}` });
    document.body.append(link);
    link.click();
  });
  await attempt("image", () => element("img", { src: `${base}/api/agents/health/all` }));
  await attempt("script", () => element("script", { src: `${base}/api/llm/models` }));
  await attempt("style sheet", () => element("link", { rel: "stylesheet", href: `${base}/api/agents/health/all` }));
  await attempt("prefetch", () => element("link", { rel: "prefetch", href: `${base}/api/agents/health/all` }));
  await attempt("video", () => element("video", { src: `${base}/api/agents/health/all` }));
  await attempt("object", () => element("object", { data: `${base}/api/agents/health/all` }));
  await attempt("frame of the API", () => frame({ src: `${base}/api/agents/health/all` }));
  await attempt("frame of the explorer", () => frame({ src: `${base}/docs/` }));
  await attempt("GET", () => fetch(`${base}/api/agents/health/all`, { mode: "no-cors" }).then(shown));
  await attempt("GET with CORS", () => fetch(`${base}/api/agents/health/all`).then(shown));
  await attempt("HEAD", () => fetch(`${base}/api/agents/health/all`, { mode: "no-cors", method: "HEAD" }).then(shown));
  await attempt("event source", () => new Promise((done) => {
    const source = new EventSource(`${base}/api/monitoring/logs?follow=true`);
    source.onmessage = (event) => done(`read ${event.data}`);
    source.onerror = () => done("nothing");
  }));
  await attempt("web socket", () => new Promise((done) => {
    const socket = new WebSocket(`${base.replace("http", "ws")}/api/monitoring/logs`);
    socket.onopen = () => done("read an open socket");
    socket.onerror = () => done("nothing");
  }));
}

Promise.all(bases.map(all))
  .then(() => pause(1500))
  .then(() => tell(report));
