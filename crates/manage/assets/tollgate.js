// What the console does beyond plain pages: dialogs, copying, local times, filters. Every page works without it.
"use strict";
(() => {
  const dialog = () => document.getElementById("dialog");
  const body = () => document.getElementById("dialog-body");

  // Times: the server writes UTC; here they become the reader's own zone, the exact one in the title.
  const language = document.documentElement.lang;
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const parts = [{ dateStyle: "medium" }, { timeStyle: "short" }].map((style) => new Intl.DateTimeFormat(language, style));
  const whole = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long" });
  // Day and time each stay in one piece, in whichever order the language has them.
  function pieces(at) {
    let rest = exact.format(at);
    const whole = parts.map((part) => part.format(at)).filter((part) => rest.includes(part));
    whole.sort((a, b) => rest.indexOf(a) - rest.indexOf(b));
    const nodes = whole.flatMap((part) => {
      const span = document.createElement("span");
      span.className = "together";
      span.textContent = part;
      const before = rest.slice(0, rest.indexOf(part));
      rest = rest.slice(before.length + part.length);
      return [before, span];
    });
    return [...nodes, rest];
  }
  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.dataset.local = "";
      time.title = `${whole.format(at)} (${time.dateTime})`;
      time.replaceChildren(...pieces(at));
    }
  }

  // The name of the reader's zone, for forms that want one and were not given another.
  function zones(root) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const field of root.querySelectorAll("[data-zone]")) {
      if (field.value === "" && zone) field.value = zone;
    }
  }

  // A list of boxes that can be searched, all of them ticked, and counted.
  function pickers(root) {
    for (const picker of root.querySelectorAll("[data-picker]:not([data-ready])")) {
      picker.dataset.ready = "";
      const rows = [...picker.querySelectorAll("[data-option]")];
      const search = picker.querySelector("[data-search]");
      const all = picker.querySelector("[data-all]");
      const count = picker.querySelector("[data-count]");
      const boxes = () => rows.filter((row) => !row.hidden).map((row) => row.querySelector("input"));
      const tell = () => {
        const ticked = rows.filter((row) => row.querySelector("input").checked).length;
        if (count) count.textContent = `${ticked} / ${rows.length}`;
        if (all) {
          const seen = boxes();
          all.checked = seen.length > 0 && seen.every((box) => box.checked);
          all.indeterminate = !all.checked && seen.some((box) => box.checked);
        }
      };
      picker.querySelectorAll("[data-needs-script]").forEach((part) => { part.hidden = false; });
      search?.addEventListener("input", () => {
        const words = search.value.trim().toLowerCase();
        for (const row of rows) row.hidden = !row.dataset.option.toLowerCase().includes(words);
        tell();
      });
      search?.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
      all?.addEventListener("change", () => {
        for (const box of boxes()) box.checked = all.checked;
        tell();
      });
      picker.addEventListener("change", tell);
      tell();
    }
    // Parts of a form that are of use only with one choice of a radio group.
    for (const part of root.querySelectorAll("[data-when]:not([data-ready])")) {
      part.dataset.ready = "";
      const [name, value] = part.dataset.when.split("=");
      const form = part.closest("form");
      const show = () => { part.hidden = new FormData(form).get(name) !== value; };
      form?.addEventListener("change", show);
      show();
    }
  }

  function enliven(root) {
    localTimes(root);
    zones(root);
    pickers(root);
    for (const part of root.querySelectorAll("[data-needs-script]")) part.hidden = false;
  }

  // Brings a text into the clipboard. Over plain http the browser has none for scripts but the old way, which copies what
  // is marked; where that is refused too, the text stays marked, so that one key copies it.
  async function write(text, from) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      if (!from) return false;
      getSelection().selectAllChildren(from);
      return document.execCommand("copy");
    }
  }

  // Copy buttons: data-copy is the text, or data-copy-from names the element that holds it.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const from = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    const text = from ? (from.value ?? from.textContent) : button.dataset.copy;
    const done = await write(text, from);
    const label = button.querySelector("[data-label]") ?? button;
    label.dataset.before ??= label.textContent;
    label.textContent = done ? document.body.dataset.copied : document.body.dataset.marked;
    button.setAttribute("aria-live", "polite");
    clearTimeout(Number(label.dataset.timer));
    label.dataset.timer = setTimeout(() => { label.textContent = label.dataset.before; }, done ? 1600 : 8000);
  });

  // Dialogs: a link with data-dialog opens its page's #sheet here; forms inside send through htmx and stay here.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      // A link in a menu is gone with its menu: the menu's button is come back to.
      const menu = link.closest("[popover]");
      menu?.hidePopover();
      opener = (menu && document.querySelector(`[popovertarget="${menu.id}"]`)) ?? link;
      htmx.ajax("GET", link.getAttribute("href"), { target: "#dialog-body", select: "#sheet", swap: "innerHTML" })
        // Said by the notice that the service cannot be reached.
        .catch(() => {});
      return;
    }
    const closer = event.target.closest("[data-close]");
    if (closer && dialog().open && dialog().contains(closer) && !mustFinish()) {
      event.preventDefault();
      dialog().close();
    }
  });
  let opener = null;
  // A sheet that shows something once is left by its own button alone.
  const mustFinish = () => body().querySelector("[data-must-finish]") !== null;
  dialog()?.addEventListener("cancel", (event) => { if (mustFinish()) event.preventDefault(); });
  // Wherever the focus is: a browser lets the first Escape be declined as "cancel", the second one only as a key.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && dialog()?.open && mustFinish()) event.preventDefault();
  }, true);
  dialog()?.addEventListener("close", () => {
    // Closed in a way that cannot be declined: what is shown once is shown again rather than lost.
    if (mustFinish()) {
      dialog().showModal();
      return;
    }
    // Something was done: what stands behind the dialog is older than that.
    const isOld = body().querySelector("[data-reload]") !== null;
    body().replaceChildren();
    if (isOld) location.reload();
    opener?.isConnected && opener.focus();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!body()?.contains(form) || form.dataset.plain !== undefined || form.method.toLowerCase() === "dialog") return;
    event.preventDefault();
    const values = {};
    for (const [name, value] of new FormData(form, event.submitter)) (values[name] ??= []).push(value);
    for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
    const action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    const context = { source: form, target: "#dialog-body", select: "#sheet", swap: "innerHTML", values };
    htmx.ajax("POST", action, context).catch(() => {}).finally(() => {
      for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = false;
    });
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    enliven(event.target);
    if (event.target.id !== "dialog-body") return;
    if (!body().firstElementChild) return;
    if (!dialog().open) dialog().showModal();
    const first = body().querySelector("[aria-invalid=true], [autofocus]") ?? body().querySelector("input:not([type=hidden]), button");
    first?.focus();
  });

  // A part of a page is never replaced by an answer that does not have it: the store is down, somebody removed it. Who
  // asked is shown that answer as a page; a page that asks by itself goes on asking. A dialog shows whatever comes.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr, requestConfig, pathInfo } = event.detail;
    if (xhr.status < 400 || target?.id === "dialog-body") return;
    event.detail.shouldSwap = false;
    if (!("x-tollgate-poll" in requestConfig.headers) && target?.id !== "usage") location.assign(pathInfo.finalRequestPath);
  });
  // No answer came at all: that is said where one is at work, and what was typed stays.
  const unreachable = document.getElementById("unreachable");
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if ("x-tollgate-poll" in event.detail.requestConfig.headers) return;
      (dialog().open ? body() : document.getElementById("content")).prepend(unreachable);
      unreachable.hidden = false;
      unreachable.scrollIntoView({ block: "nearest" });
    });
  }
  document.addEventListener("htmx:beforeRequest", () => { unreachable.hidden = true; });

  // A line at the top while something takes longer than a fifth of a second.
  const SLOW_MS = 200;
  let waiting = 0;
  let timer = 0;
  const line = () => document.querySelector(".progress");
  document.addEventListener("htmx:beforeRequest", () => {
    waiting += 1;
    if (waiting === 1) timer = setTimeout(() => { line().hidden = false; }, SLOW_MS);
  });
  document.addEventListener("htmx:afterRequest", () => {
    waiting = Math.max(0, waiting - 1);
    if (waiting > 0) return;
    clearTimeout(timer);
    line().hidden = true;
  });
  window.addEventListener("pagehide", () => {
    clearTimeout(timer);
    // What is shown once does not go into the browser's memory of pages.
    for (const part of document.querySelectorAll("[data-once]")) part.remove();
  });
  // Pages that are left by a plain link or form, too.
  window.addEventListener("beforeunload", () => { timer = setTimeout(() => { line().hidden = false; }, SLOW_MS); });
  // A page from the browser's memory is asked for anew: it may show what must not be seen again.
  window.addEventListener("pageshow", (event) => {
    line().hidden = true;
    if (event.persisted) location.reload();
  });

  // On a phone the sections are a row that scrolls: the one that one is in is seen.
  // Not by scrollIntoView: the first Tab of a page would then begin behind it, and miss the way to the content.
  const current = document.querySelector(".side [aria-current]");
  const side = current?.closest(".side");
  if (side) {
    const [inner, outer] = [current, side].map((element) => element.getBoundingClientRect());
    side.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
  }

  enliven(document);
})();
