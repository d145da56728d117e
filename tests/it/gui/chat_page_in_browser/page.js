// What the chat page does: it lists, begins, sends, streams, loads again, and deletes.
const studio = new URLSearchParams(location.search).get("studio") + "/api/chat/ui";
const ask = async (method, path, body) => {
  const headers = body ? { "content-type": "application/json" } : {};
  const reply = await fetch(studio + path, { method, headers, body: body && JSON.stringify(body) });
  return reply.json();
};

// As version B reads it: line by line, what follows `data: `, until `event: done`.
const stream = async (body) => {
  const headers = { "content-type": "application/json" };
  const reply = await fetch(studio + "/send/stream", { method: "POST", headers, body: JSON.stringify(body) });
  const reader = reply.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text, done: false };
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("event: done")) return { text, done: true };
      if (line.startsWith("data: ")) text += line.slice(6);
    }
  }
};

const use = async () => {
  const list = () => ask("GET", "/conversations?user_id=&limit=50&offset=0");
  const before = (await list()).conversations.length;
  const models = (await ask("GET", "/models")).models.map((model) => model.id);
  const profiles = (await ask("GET", "/profiles")).profiles.map((profile) => profile.id);
  const begun = await ask("POST", "/conversations", {
    title: "New Conversation", model_id: models[0], routing_profile: profiles[0],
  });
  const id = begun.conversation.id;
  const message = (text) => ({
    conversation_id: id, message: text, model_id: models[0], routing_profile: profiles[0],
    use_memory: true, use_tools: false, stream: false, metadata: {},
  });
  const sent = await ask("POST", "/send", message("I am Ada"));
  const streamed = await stream({ ...message("Who am I?"), connection_id: "default" });
  const after = (await list()).conversations.length;
  const loaded = await ask("GET", `/conversations/${sent.conversation_id}`);
  const deleted = (await ask("DELETE", `/conversations/${id}`)).success;
  const gone = (await ask("GET", `/conversations/${id}`)).detail;
  return {
    before, after, models, profiles, streamed, deleted, gone,
    title: loaded.conversation.title,
    answer: sent.answer,
    roles: loaded.messages.map((message) => message.role),
    model_used: loaded.messages[1].metadata.model_used,
    left: (await list()).conversations.length,
  };
};

use().then(tell, (error) => tell({ error: String(error) }));
