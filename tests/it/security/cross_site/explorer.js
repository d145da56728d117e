// Does what a person does in the API explorer: opens an operation, presses Execute, reads the reply.
const until = async (find) => {
  for (;;) {
    const found = find();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
};

(async () => {
  const explorer = window.open("/docs/#/chat/chat");
  const button = await until(() => explorer.document?.querySelector("#operations-chat-chat .btn.execute"));
  const replied = () => explorer.document.querySelector("#operations-chat-chat .live-responses-table tr.response td.response-col_status")?.innerText;
  // A press that comes before the explorer is ready does nothing.
  const pressing = setInterval(() => replied() || button.click(), 3000);
  button.click();
  const status = await until(replied);
  clearInterval(pressing);
  const body = explorer.document.querySelector("#operations-chat-chat .live-responses-table tr.response .highlight-code")?.innerText;
  await tell({ status, body });
})();
