// Does what a person does in the API explorer of a server that asks who calls: presses Authorize, gives a key, and tries an operation.
let explorer;
// The browser slows down the timers of a page behind another one; those of the one in front are lost when it goes on to its address.
const pause = () => new Promise((done) => {
  setTimeout(done, 50);
  explorer?.setTimeout(done, 50);
});
const until = async (find) => {
  for (;;) {
    const found = find();
    if (found) return found;
    await pause();
  }
};

(async () => {
  explorer = window.open("/docs/#/auth/auth_me");
  const element = (path) => explorer.document?.querySelector(path);
  const operation = "#operations-auth-auth_me";
  const answers = () => element(`${operation} .live-responses-table tr.response td.response-col_status`)?.innerText;
  // Again and again, until it has worked.
  const press = async (path, has_worked) => {
    for (let pressed = 0; !has_worked(); await pause()) {
      if (Date.now() - pressed < 3000) continue;
      (await until(() => element(path))).click();
      pressed = Date.now();
    }
  };
  const reply = async (status) => {
    await press(`${operation} .btn.execute`, () => answers()?.startsWith(status));
    return answers();
  };
  // Until its replies are shown the explorer has not read the operation, and what is executed then never comes to an end.
  await until(() => element(`${operation} .responses-wrapper .model-example`));
  const reports = [await reply("401")];

  const key = ".modal-ux .auth-container input";
  await press(".auth-wrapper .btn.authorize", () => element(key));
  const typed = Object.getOwnPropertyDescriptor(explorer.HTMLInputElement.prototype, "value");
  typed.set.call(element(key), "KEY");
  element(key).dispatchEvent(new explorer.Event("input", { bubbles: true }));
  const is_known = () => [...explorer.document.querySelectorAll(".modal-ux .auth-container button")].some((button) => button.innerText === "Logout");
  await press(".modal-ux .auth-container .btn.authorize", is_known);
  await press(".modal-ux .btn-done", () => !element(".modal-ux"));
  reports.push(await reply("200"));
  const body = element(`${operation} .live-responses-table tr.response .highlight-code`)?.innerText;
  await tell({ reports, body });
})();
