// The browser, and what every script does with it. A script is started by `tests/outside/console.rs` with one JSON object
// on standard input: the server's address, tokens, links, counts.
//
// What holds for every page is watched here for all of them: nothing is loaded from elsewhere, no content security policy
// is broken, no script fails, nothing answers 5xx, nothing scrolls sideways.

import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

/** How long one action may wait for its element or page. Generous: a busy machine is no failure. */
const ACTION_MS = 20_000;
/** How often a Chromium may be started until it runs. It was seen to die of a signal before its first page; once it runs,
 * nothing is tried again. */
const LAUNCHES = 3;
/** The viewports: a phone, a tablet, a desk. */
const HEIGHTS = { 390: 844, 768: 1024, 1440: 900 };
/** What axe-core checks: WCAG 2.2, levels A and AA. */
const WCAG = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
/** What of it depends on theme and width: all that another look at the same page can break. */
const OF_LOOKS = ['color-contrast', 'link-in-text-block', 'target-size', 'scrollable-region-focusable'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const FLAGS = [
  '--headless',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What the test handed over: `url`, `token` (an operator's access token), `upstream`, `screenshots`, and more. */
export let given;
let browser;
const problems = [];
/** The steps that one is in, and who takes them: several may be on their way at once. */
const going = new AsyncLocalStorage();

/** Runs a script: reads what was handed over, opens the browser, says which step failed where. */
export async function script(body) {
  given = JSON.parse(await text(process.stdin));
  mkdirSync(given.screenshots, { recursive: true });
  browser = await launch();
  let failure;
  try {
    await body();
  } catch (error) {
    failure = error;
  }
  if (failure) {
    await tell(failure);
  }
  await browser.close();
  for (const problem of failure ? [] : problems) {
    console.error(problem);
  }
  if (failure || problems.length > 0) {
    process.exit(1);
  }
  console.log('ok');
}

/** A Chromium, by what starts one; one that `remembers` keeps pages that one left, as it does for people and not for Playwright. */
async function launch({ remembers = false, start = (options) => chromium.launch(options) } = {}) {
  const executablePath = process.env.TOLLGATE_TEST_CHROMIUM;
  const root = process.getuid?.() === 0;
  const options = { executablePath, args: FLAGS, ...(remembers && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }) };
  for (let left = LAUNCHES - 1, chromiumSandbox = !root; ; left -= 1) {
    try {
      return await start({ ...options, chromiumSandbox });
    } catch (error) {
      if (left === 0) {
        throw error;
      }
      console.error(`Chromium did not start${chromiumSandbox ? ' in its sandbox' : ''}: ${ending(error)}`);
      // Inside most containers there is no sandbox to be had; the pages are our own.
      chromiumSandbox = false;
    }
  }
}

/** How a Chromium that did not start ended, in one line: its exit code or signal, or else what Playwright says first. */
function ending(error) {
  // Without the colours of a terminal.
  const lines = String(error).replace(/\u001b\[\d+m/g, '').split('\n');
  return lines.find((line) => line.includes('process did exit'))?.trim() ?? lines[0];
}

async function tell(failure) {
  console.error(`FAILED in: ${failure.steps ?? 'the script'}`);
  console.error(failure.stack ?? failure);
  const page = failure.page;
  if (page && !page.isClosed()) {
    const picture = join(given.screenshots, `failed-${Date.now()}.png`);
    const seen = await page.locator('body').ariaSnapshot({ timeout: 2_000 }).catch(() => '(no page)');
    await page.screenshot({ path: picture, fullPage: true, timeout: 5_000 }).catch(() => {});
    console.error(`at ${page.url()} (${picture}):\n${seen.slice(0, 6_000)}`);
  }
  problems.forEach((problem) => console.error(`also: ${problem}`));
}

/** One step in words, as the guide says it; a failure inside names it. Returns what `body` returns. */
export async function step(words, body) {
  const above = going.getStore();
  const here = { words: above ? `${above.words} > ${words}` : words, page: above?.page };
  return going.run(here, async () => {
    try {
      return await body();
    } catch (error) {
      error.steps ??= here.words;
      error.page ??= here.page;
      throw error;
    } finally {
      if (above) {
        above.page = here.page;
      }
    }
  });
}

/** The steps that one is in, in words. */
function whereabouts() {
  return going.getStore()?.words ?? 'the script';
}

/** Does this for each, `width` of them at once; the first failure ends it. */
export async function each(list, width, body) {
  const rest = [...list];
  const worker = async () => {
    for (let one = rest.shift(); one !== undefined; one = rest.shift()) {
      const now = one;
      await step(String(now.name ?? now), () => body(now)).catch((error) => {
        rest.length = 0;
        throw error;
      });
    }
  };
  // All of them are let finish: a failure is told while nobody else opens pages.
  const ends = await Promise.allSettled(Array.from({ length: width }, worker));
  const failed = ends.find(({ status }) => status === 'rejected');
  if (failed) {
    throw failed.reason;
  }
}

/**
 * A person at a machine of their own: a browser context.
 * @param {{lang?: 'en'|'vi', theme?: 'light'|'dark', width?: 390|768|1440, js?: boolean, remembers?: boolean, profile?: string}}
 * options `profile` is a directory: what a browser keeps is kept there.
 */
export async function visitor(looks = {}) {
  const { lang = 'en', theme = 'light', width = 1440, js = true, remembers = false, profile } = looks;
  const options = {
    baseURL: given.url,
    locale: lang === 'vi' ? 'vi-VN' : 'en-US',
    colorScheme: theme,
    viewport: { width, height: HEIGHTS[width] ?? 900 },
    javaScriptEnabled: js,
    reducedMotion: 'reduce',
    timezoneId: 'Asia/Ho_Chi_Minh',
    permissions: ['clipboard-read', 'clipboard-write'],
    acceptDownloads: true,
  };
  const machine = remembers ? await launch({ remembers }) : browser;
  const context = profile
    ? await launch({ start: (how) => chromium.launchPersistentContext(profile, { ...how, ...options }) })
    : await machine.newContext(options);
  context.setDefaultTimeout(ACTION_MS);
  const name = `${lang}-${theme}-${width}${js ? '' : '-nojs'}`;
  const person = { context, lang, theme, width, js, name, paused: 0 };
  context.on('page', (page) => watch(person, page));
  if (remembers) {
    context.on('close', () => machine.close().catch(() => {}));
  }
  person.page = await context.newPage();
  const here = going.getStore();
  if (here) {
    here.page = person.page;
  }
  return person;
}

/** What was wrong so far, taken away: for the script that tests the watching itself. */
export function takeProblems() {
  return problems.splice(0);
}

/** Writes down what no page may do. */
function watch(person, page) {
  const wrong = (what) => problems.push(`(${person.name}, ${page.url()}): ${what}`);
  page.on('console', (message) => {
    // The browser's own remark about an answer of 4xx is no error of the page; see the answers below.
    const remark = message.text().startsWith('Failed to load resource: the server responded');
    if (message.type() === 'error' && !remark && !person.paused) {
      wrong(`console: ${message.text()}`);
    }
  });
  page.on('dialog', (dialog) => {
    // Nothing of ours asks this way: something that people typed was run.
    wrong(`a script opened a window: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('pageerror', (error) => wrong(`a script failed: ${error}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(`${given.url}/`) && !/^(data|blob|about):/.test(url) && !person.leaves?.(url)) {
      wrong(`asked another origin: ${url}`);
    }
  });
  page.on('response', (response) => {
    const kind = response.request().resourceType();
    const mayBeRefused = ['document', 'fetch', 'xhr'].includes(kind);
    if (response.status() >= (mayBeRefused ? 500 : 400)) {
      wrong(`${response.status()} for ${response.url()} (${kind})`);
    }
  });
}

/** Signs in by a one-time link, as a person does: opens it and presses the button. */
export async function signIn(person, link) {
  await person.page.goto(link);
  await person.page.locator('main form').getByRole('button').click();
  await person.page.waitForURL((url) => !url.pathname.startsWith('/sign-in'));
}

/** A request to the management API, behind `/api/v1/`; returns the answer's body. */
export async function api(method, path, body, { token = given.token, status } = {}) {
  const response = await fetch(`${given.url}/api/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  const fits = status ? response.status === status : response.ok;
  assert.ok(fits, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

let plan;
/** Makes an account on a paid plan (or on none) with one user in it; `link()` makes a one-time sign-in link. */
export async function customer(handle, { role = 'owner', paid = true, name = `Ann of ${handle}` } = {}) {
  plan ??= api('POST', 'plans', { handle: 'pro', paid: true });
  await plan;
  await api('POST', 'accounts', { handle, ...(paid && { plan: 'pro' }) });
  return member(handle, role, name);
}

/** Makes a user with a role in an account that is there. */
export async function member(handle, role, name = `Bob of ${handle}`) {
  const user = await api('POST', 'users', { name, memberships: [{ account: handle, role }] });
  return { handle, user, name, link: async () => (await api('POST', `users/${user.id}/sign-in-links`)).url };
}

/** Makes a key in an account through the API; the answer has `id` and `key`. */
export function key(handle, body = {}) {
  return api('POST', 'keys', { name: 'a key', models: 'all', account: handle, ...body });
}

/** What the fake upstream saw and counted itself: `{model, input, output, status, user}` of each request. */
export async function ledger() {
  return (await fetch(`${given.upstream}/ledger`)).json();
}

/** Calls a model with a key, as a program would; returns the status. */
export async function chat(key, model, more = {}) {
  const response = await call(key, model, more);
  await response.text();
  return response.status;
}

/** The same as a stream that is left running; returns at the head of the answer. */
export function stream(key, model, more = {}) {
  return call(key, model, { stream: true, ...more });
}

function call(key, model, more) {
  return fetch(`${given.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello?' }], ...more }),
  });
}

/** Asks until the answer is true, or fails with these words. */
export async function eventually(what, ask) {
  const end = Date.now() + ACTION_MS;
  for (;;) {
    if (await ask()) {
      return;
    }
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let clipboard = Promise.resolve();
/** Does this and returns what is in the clipboard then. There is one for all who are at work: they take turns. */
export function copied(page, body) {
  const turn = clipboard.then(async () => {
    await body();
    return page.evaluate(() => navigator.clipboard.readText());
  });
  clipboard = turn.catch(() => {});
  return turn;
}

/** Nothing may need scrolling sideways, and nothing is cut off. */
export async function fitsItsWidth(page) {
  const { wide, screen, who } = await page.evaluate(() => {
    const screen = document.documentElement.clientWidth;
    const edge = (e) => e.getBoundingClientRect().right;
    // What scrolls inside a part of its own does not widen the page; what is hidden beyond a part's edge is lost.
    const room = (e) => {
      const within = e.parentElement;
      if (!within) {
        return screen;
      }
      const overflow = getComputedStyle(within).overflowX;
      // Hidden whole, for those who listen to the page.
      const isShown = within.getBoundingClientRect().width > 1;
      return overflow === 'visible' ? room(within) : ['hidden', 'clip'].includes(overflow) && isShown ? edge(within) : Infinity;
    };
    const seen = (e) => !e.closest('.unseen, .skip') && !['progress', 'note'].some((name) => e.classList.contains(name));
    const over = [...document.querySelectorAll('body *')].filter((e) => seen(e) && edge(e) > room(e) + 1);
    const name = (e) => `<${e.localName} class="${e.className}">`;
    return { wide: document.documentElement.scrollWidth, screen, who: over.slice(0, 5).map(name).join(' ') };
  });
  assert.ok(wide <= screen && who === '', `${page.url()} is ${wide} wide on a screen of ${screen}: ${who}`);
}

/**
 * axe-core finds no violation of WCAG 2.2 AA. All that it finds are gathered, so that one run shows them all.
 * @param {string[]} [rules] only these of its rules
 */
export async function axe(person, page = person.page, rules = undefined) {
  const only = rules ? { type: 'rule', values: rules } : { type: 'tag', values: WCAG };
  // The checks touch the page as a script of ours never would: its policy is watched before and after, not meanwhile.
  person.paused += 1;
  if (!(await page.evaluate(() => 'axe' in window))) {
    await page.evaluate(AXE);
  }
  const found = await page.evaluate((runOnly) => window.axe.run(document, { runOnly, resultTypes: ['violations'] }), only);
  person.paused -= 1;
  for (const violation of found.violations) {
    const where = violation.nodes.slice(0, 4).map((node) => `${node.html.slice(0, 200)}\n      ${node.any.concat(node.all, node.none).map((check) => check.message).join('; ')}`);
    const at = `${whereabouts()} (${person.name}, ${page.url()})`;
    problems.push(`${at}: ${violation.id}: ${violation.help}\n    ${where.join('\n    ')}`);
  }
}

/**
 * The same page where axe-core can run: it needs a script, so the page of a browser without one is shown as it stands to
 * one that would run it, without ours.
 */
async function whereScriptsRun(person, page) {
  if (person.js) {
    return page;
  }
  if (!person.twin) {
    const { lang, theme, width } = person;
    person.twin = await visitor({ lang, theme, width });
    person.twin.name = person.name;
    person.context.on('close', () => person.twin.context.close().catch(() => {}));
    await person.twin.context.route(() => true, (route) =>
      route.request().resourceType() === 'document'
        ? route.fulfill({ contentType: 'text/html; charset=utf-8', body: person.twin.html })
        : route.continue(),
    );
  }
  const html = await page.content();
  person.twin.html = html.replaceAll(/<script\b[^>]*><\/script>|<\/?noscript>/g, '');
  await person.twin.page.goto(page.url());
  return person.twin.page;
}

/** A picture of the page for people to look at: `target/screenshots/<name>-<lang>-<theme>-<width>.png`. */
export async function screenshot(person, name, page = person.page) {
  await page.screenshot({ path: join(given.screenshots, `${name}-${person.name}.png`), fullPage: true });
}

/**
 * Looks at a page as one should: it fits its width, axe-core is content, a picture is kept.
 * @param {{page?: import('playwright-core').Page, looks?: {theme: string, width: number}[]}} more what other looks it is
 *   given too; one that says `picture` is kept as well
 */
export async function inspect(person, name, { page = person.page, looks = [] } = {}) {
  await step(`looking at ${name}`, async () => {
    await fitsItsWidth(page);
    await screenshot(person, name, page);
    const checked = await whereScriptsRun(person, page);
    await axe(person, checked);
    const usual = looks.length > 0 && (await checked.evaluate(() => document.documentElement.dataset.theme));
    for (const { theme, width, picture } of looks) {
      await step(`${theme} at ${width}`, async () => {
        await look(checked, theme, width);
        await fitsItsWidth(checked);
        await axe(person, checked, OF_LOOKS);
        if (picture) {
          const file = `${name}-${person.lang}-${theme}-${width}${person.js ? '' : '-nojs'}.png`;
          await checked.screenshot({ path: join(given.screenshots, file), fullPage: true });
        }
      });
    }
    if (looks.length > 0) {
      await look(checked, usual, person.width);
    }
  });
}

/** Gives the page that stands there another theme and width. */
async function look(page, theme, width) {
  await page.setViewportSize({ width, height: HEIGHTS[width] });
  await page.evaluate((value) => { document.documentElement.dataset.theme = value; }, theme);
  // A chart is drawn anew for its new room before the frame after the next.
  await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
}

/** Presses Tab until the element has the focus; each stop on the way must show that it has it. */
export async function tabTo(page, target, { most = 120, key = 'Tab' } = {}) {
  await target.waitFor();
  for (let pressed = 0; pressed <= most; pressed += 1) {
    const focused = await target.evaluate((element) => element === document.activeElement);
    if (pressed > 0 || focused) {
      await focusShows(page);
    }
    if (focused) {
      return;
    }
    await page.keyboard.press(key);
  }
  assert.fail(`the keyboard does not reach ${target}`);
}

/** Whatever has the focus shows it. */
export async function focusShows(page) {
  const seen = await page.evaluate(() => {
    const element = document.activeElement;
    if (!element || element === document.body) {
      return { shows: true };
    }
    const shows = (one) => {
      const style = getComputedStyle(one);
      return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    };
    // A styled checkbox or radio may show it on its label.
    const label = element.closest('label');
    return { shows: shows(element) || (label && shows(label)), what: element.outerHTML.slice(0, 160) };
  });
  assert.ok(seen.shows, `the focus cannot be seen on ${seen.what}`);
}

/** Bytes that came over the network while `body` ran, as transferred: compressed, heads included. */
export async function transferred(person, page, body) {
  const session = await person.context.newCDPSession(page);
  const files = new Map();
  session.on('Network.responseReceived', ({ requestId, response }) => files.set(requestId, { url: response.url, bytes: 0 }));
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const file = files.get(requestId);
    if (file) {
      file.bytes = encodedDataLength;
    }
  });
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  await body();
  await session.detach();
  const list = [...files.values()];
  return { total: list.reduce((sum, file) => sum + file.bytes, 0), list };
}

export { assert };
