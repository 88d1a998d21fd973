// The box that asks, where a model answers: shows each line as it comes. Without it the form is sent as a page and answered
// whole.
"use strict";
(() => {
  const form = document.querySelector("form[data-ask]");
  if (!form) return;
  const answer = document.getElementById("answer");
  let running = null;

  // One event: a line that stands, or all of the answer in the end. Its HTML is the server's own.
  function take(kind, html) {
    if (kind === "line") answer.insertAdjacentHTML("beforeend", html);
    if (kind === "whole") answer.innerHTML = html;
  }

  async function run(signal) {
    const address = `${form.action}?${new URLSearchParams(new FormData(form))}`;
    const response = await fetch(address, { signal, headers: { accept: "text/event-stream" } });
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      // A question that is wrong, or asked too often, is answered with a page that says why.
      location.assign(address);
      return;
    }
    answer.textContent = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const field = (name) => event.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (field("data")) take(field("event"), JSON.parse(field("data")));
      }
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running?.abort();
    const own = new AbortController();
    running = own;
    answer.setAttribute("aria-busy", "true");
    answer.textContent = form.dataset.ask;
    try {
      await run(own.signal);
    } catch (error) {
      // Nothing came: the browser says so on a page of its own.
      if (!own.signal.aborted) form.submit();
    } finally {
      if (running === own) answer.setAttribute("aria-busy", "false");
    }
  });
})();
