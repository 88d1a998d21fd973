// The usage pages: the chart, figures that stay fresh, the browser's time zone. The pages work without any of it.
"use strict";
(() => {
  // What is used shows up to two seconds later; so a figure on the screen is never older than five.
  const REFRESH_MS = 2500;
  const language = document.documentElement.lang;
  const by = (id) => document.getElementById(id);
  const usage = () => by("usage");
  const address = () => `${usage().dataset.path}?${usage().dataset.query}`;
  document.documentElement.dataset.script = "";

  // Another question. What is chosen while an answer is on its way counts: the last question asked is the one answered.
  let question = null;
  let answering = false;
  async function ask(path, how) {
    question = { path, how };
    if (answering) return;
    answering = true;
    while (question) {
      const now = question;
      question = null;
      const context = { target: "#usage", select: "#usage", swap: "outerHTML show:none settle:0ms", ...now.how };
      // What went wrong is said where htmx tells of it, see below.
      await htmx.ajax("GET", now.path, context).catch(() => {});
    }
    answering = false;
  }

  // The browser's own zone on the first visit, the chosen one afterwards.
  const ZONE_COOKIE = "tollgate_zone";
  const remember = (zone) => { document.cookie = `${ZONE_COOKIE}=${zone}; path=/; max-age=31536000; samesite=lax`; };
  function ownZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (usage().dataset.zoneKnown === "true" || !zone) return;
    remember(zone);
    if (zone === "UTC") return;
    // For who chooses something before the figures of this zone are there.
    const field = by("tz");
    if ([...field.options].some((option) => option.value === zone)) field.value = zone;
    ask(location.pathname + location.search, { push: "false" });
  }

  // The form: a choice is shown at once; dates wait for the button. Listened to from here, since forms come and go.
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "usage-form") return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(event.target));
    ask(`${usage().dataset.path}?${query}`, { push: "true", headers: { "HX-Trigger": "usage-form" } });
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#part-table thead a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    ask(link.getAttribute("href"), { push: "true" });
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("#usage-form");
    if (!form || event.target.type === "date" || event.target.type === "text") return;
    if (event.target.name === "tz") remember(event.target.value);
    if (event.target.value !== "custom") form.requestSubmit();
  });

  // The chart is drawn from the table behind it.
  let chart = null;
  function style(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function series() {
    const heads = [...document.querySelectorAll("#chart-data thead th[data-colour]")];
    const rows = [...document.querySelectorAll("#chart-data tbody tr")];
    const labels = rows.map((row) => row.querySelector("th").textContent);
    const datasets = heads.map((head, at) => ({
      label: head.textContent,
      data: rows.map((row) => Number(row.querySelectorAll("td")[at].dataset.amount)),
      backgroundColor: style(`--series-${head.dataset.colour}`),
      borderWidth: 0,
      maxBarThickness: 44,
    }));
    return { labels, datasets };
  }
  function draw() {
    // Without an id: htmx would write the old one's style into the new one, which the policy forbids.
    const canvas = document.querySelector("[data-chart]");
    if (!canvas || !window.Chart) {
      chart?.destroy();
      chart = null;
      return;
    }
    if (chart && chart.canvas === canvas) {
      chart.data = series();
      chart.update("none");
      return;
    }
    chart?.destroy();
    const whole = new Intl.NumberFormat(language);
    const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
    const [text, dim, line, raised] = ["--text", "--dim", "--line", "--raised"].map(style);
    const font = { family: getComputedStyle(document.body).fontFamily, size: 12 };
    chart = new Chart(canvas, {
      type: "bar",
      data: series(),
      options: {
        responsive: true,
        maintainAspectRatio: false,
        animation: false,
        interaction: { mode: "index", intersect: false },
        scales: {
          x: { stacked: true, grid: { display: false }, border: { color: line }, ticks: { color: dim, font, maxRotation: 0, autoSkipPadding: 16 } },
          y: { stacked: true, beginAtZero: true, grid: { color: line }, border: { display: false }, ticks: { color: dim, font, precision: 0, callback: (value) => short.format(value) } },
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            backgroundColor: raised, titleColor: text, bodyColor: text, footerColor: text, borderColor: line, borderWidth: 1, padding: 10, titleFont: font, bodyFont: font,
            filter: (item) => item.raw > 0,
            callbacks: { label: (item) => ` ${cut(item.dataset.label)}: ${whole.format(item.raw)}` },
          },
        },
      },
    });
  }
  // Longer names stand whole in the legend.
  const LONGEST_LABEL = 40;
  const cut = (name) => ([...name].length > LONGEST_LABEL ? `${[...name].slice(0, LONGEST_LABEL).join("")}…` : name);
  function redraw() {
    chart?.destroy();
    chart = null;
    draw();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // Fresh figures: asked for while the range reaches to now, the tab is seen and nobody paused.
  let paused = false;
  let asking = false;
  let received = performance.now();
  const live = () => usage()?.dataset.live === "true" && by("figures") !== null;
  const selects = () => {
    const selection = getSelection();
    return !selection.isCollapsed && by("figures")?.contains(selection.anchorNode);
  };
  async function refresh() {
    if (!live() || paused || asking || document.visibilityState !== "visible" || selects()) return;
    asking = true;
    const asked = address();
    try {
      const response = await fetch(asked, { headers: { accept: "text/html", "x-tollgate-poll": "1" } });
      if (response.redirected) {
        location.reload();
        return;
      }
      if (!response.ok) throw new Error(String(response.status));
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!usage() || asked !== address() || paused) return;
      replace(page.getElementById("figures"));
      received = performance.now();
      failed(false);
    } catch {
      failed(true);
    } finally {
      asking = false;
    }
  }
  function failed(is) {
    const line = by("update-failed");
    if (!line || line.hidden === !is) return;
    line.textContent = is ? usage().dataset.failed : "";
    line.hidden = !is;
  }
  // Part by part, so that what is open stays open and what has the focus keeps it.
  function replace(next) {
    const now = by("figures");
    if (!next || !now) return;
    const ids = (root) => [...root.querySelectorAll("[data-part]")].map((part) => part.id);
    const active = document.activeElement;
    const had = now.contains(active) && active;
    const open = [...now.querySelectorAll("details[open]")].map((details) => details.id);
    const scrolled = [...now.querySelectorAll(".scroll")].map((box) => [box.id, box.scrollLeft, box.scrollTop]);
    if (ids(now).join() !== ids(next).join()) {
      now.replaceWith(next);
      lively(next);
    } else {
      for (const part of next.querySelectorAll("[data-part]")) {
        const old = by(part.id);
        old.replaceChildren(...part.childNodes);
        lively(old);
      }
      by("figures").dataset.said = next.dataset.said;
    }
    for (const id of open) by(id)?.setAttribute("open", "");
    for (const [id, left, top] of scrolled) by(id)?.scrollTo(left, top);
    if (had && !had.isConnected) {
      const links = [...by("figures").querySelectorAll("a, summary, button")];
      const href = had.getAttribute("href");
      const same = had.id ? by(had.id) : links.find((link) => href !== null && link.getAttribute("href") === href);
      (same ?? links.find((link) => link.tagName === had.tagName && link.textContent === had.textContent))?.focus({ preventScroll: true });
    }
    draw();
  }
  function lively(root) {
    for (const part of root.querySelectorAll("[data-needs-script]")) part.hidden = false;
    mark();
  }
  function mark() {
    const button = by("pause");
    if (!button) return;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? usage().dataset.resume : usage().dataset.pause;
  }
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#pause")) return;
    paused = !paused;
    mark();
    say(paused ? usage().dataset.paused : by("figures")?.dataset.said);
    if (!paused) refresh();
  });
  const say = (text) => { by("usage-said").textContent = text ?? ""; };

  // How long ago, second by second.
  const ago = new Intl.RelativeTimeFormat(language, { numeric: "always" });
  function tick() {
    const span = by("fresh-ago");
    if (!span) return;
    const seconds = Math.round((Number(span.dataset.age) + performance.now() - received) / 1000);
    const [number, unit] = seconds < 120 ? [seconds, "second"] : seconds < 7200 ? [Math.floor(seconds / 60), "minute"] : [Math.floor(seconds / 3600), "hour"];
    span.textContent = ago.format(-number, unit);
  }
  setInterval(tick, 1000);
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", refresh);

  // Another question was answered by htmx: its part stands there whole.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "usage") return;
    received = performance.now();
    mark();
    draw();
    say(by("figures")?.dataset.said);
  });
  // An answer without the part (signed out, store down) must not leave a hole.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "usage") return;
    const isAnswer = [200, 400].includes(event.detail.xhr.status);
    event.detail.shouldSwap = isAnswer && question === null;
    if (!isAnswer) failed(true);
  });

  mark();
  draw();
  ownZone();
})();
