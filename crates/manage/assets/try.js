// The box that tries a model: sends the form, shows the answer while it streams, stops it. Without it the form is sent as
// a page and answered whole.
"use strict";
(() => {
  const form = document.querySelector("form[data-try]");
  if (!form) return;
  const answer = document.getElementById(form.dataset.try);
  const said = answer.querySelector(".said");
  const counted = answer.querySelector("[data-counted-line]");
  const stop = form.querySelector("[data-stop]");
  const send = form.querySelector("[type=submit]");
  const fill = (text, ...values) => values.reduce((filled, value) => filled.replace("{}", () => value), text);
  const count = new Intl.NumberFormat(document.documentElement.lang);
  let running = null;

  // One event of the stream: text to add, the counts at its end, or an error.
  function take(data) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    said.append(event.choices?.[0]?.delta?.content ?? "");
    if (event.usage) {
      counted.textContent = fill(form.dataset.counted, count.format(event.usage.prompt_tokens), count.format(event.usage.completion_tokens));
    }
  }

  async function run(signal) {
    const response = await fetch(form.action, {
      method: "POST", signal, body: new URLSearchParams(new FormData(form)), headers: { accept: "text/event-stream" },
    });
    const kind = response.headers.get("content-type") ?? "";
    if (kind.startsWith("text/html")) {
      // A form that is wrong comes back as a page that says why.
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const why = page.querySelector("form[data-try] .error") ?? page.querySelector("main h1");
      throw new Error(why?.textContent ?? response.statusText);
    }
    if (!kind.startsWith("text/event-stream")) {
      const body = await response.json().catch(() => null);
      throw new Error(body?.error?.message ?? response.statusText);
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) take(line.slice(6));
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running?.abort();
    const own = new AbortController();
    running = own;
    said.textContent = "";
    said.classList.remove("error");
    counted.textContent = "";
    answer.hidden = false;
    answer.setAttribute("aria-busy", "true");
    stop.hidden = false;
    send.disabled = true;
    try {
      await run(own.signal);
    } catch (error) {
      if (!own.signal.aborted) {
        const line = document.createElement("span");
        line.className = "error";
        line.textContent = error instanceof TypeError ? form.dataset.broken : fill(form.dataset.refused, error.message);
        if (said.textContent !== "") said.append(document.createElement("br"));
        said.append(line);
      }
    } finally {
      if (running === own) {
        stop.hidden = true;
        send.disabled = false;
        answer.setAttribute("aria-busy", "false");
      }
    }
  });
  stop.addEventListener("click", () => running?.abort());
})();
