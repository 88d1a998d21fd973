// The pictures of the documentation, taken of the console as it is: each in the light and in the dark theme. They show a
// deployment with names and figures as a customer's are; `cargo xtask pictures` puts them into `docs/screenshots`.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { script, visitor, signIn, step, customer, key, api, chat, eventually, given, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey } from './pages.mjs';

/** As wide as a page of the documentation shows them without making their letters small. */
const WIDTH = 1440;
/** Room for the tallest dialog. */
const HEIGHT = 1400;
/** No picture of a page is taller: what is below says nothing new. */
const MOST_HEIGHT = 760;
const ACCOUNT = 'acme';
const PLACE = 'https://github.example.com/acme/shop/blob/main/config.py#L7';
const w = words.en;
/** The text of the key that is found in public, towards the end. */
let found;

await script(async () => {
  mkdirSync(given.pictures, { recursive: true });
  const ann = await customer(ACCOUNT, { name: 'Ann Nguyen' });
  await api('PATCH', `accounts/${ACCOUNT}`, { name: 'Acme' });
  await step('keys with a life behind them', keys);
  const person = await visitor({ width: WIDTH });
  await person.page.setViewportSize({ width: WIDTH, height: HEIGHT });
  await signIn(person, await ann.link());
  await step('what customers do', () => customers(person));
  await person.context.close();
  // A chart is drawn in the colours of the theme that the page came with.
  await step('usage in the dark', async () => {
    const dark = await visitor({ width: WIDTH, theme: 'dark' });
    await dark.page.setViewportSize({ width: WIDTH, height: HEIGHT });
    await signIn(dark, await ann.link());
    await usage(dark, ['dark']);
    await dark.context.close();
  });
  await step('what operators do', operators);
});

/** Keys of all sorts, used by programs. */
async function keys() {
  const made = async (name, models, more = {}) => ({ name, ...(await key(ACCOUNT, { name, models, ...more })) });
  const laptop = await made('Old laptop', ['qwen3-32b']);
  const leaked = await made('In a repository', ['llama-3.3-70b']);
  found = leaked.key;
  const search = await made('Website search', ['qwen3-32b', 'llama-3.3-70b']);
  const batch = await made('Nightly batch', 'all', { expires_at: '2099-12-31T12:00:00Z', note: 'runs on the build server' });
  const uses = [
    [search, 'qwen3-32b', [[1_204, 333], [845, 210], [2_310, 514]]],
    [search, 'llama-3.3-70b', [[640, 95], [1_020, 180]]],
    [batch, 'qwen3-32b', [[5_210, 902], [4_870, 1_104]]],
    [batch, 'llama-3.3-70b', [[3_900, 760]]],
    [leaked, 'llama-3.3-70b', [[310, 44]]],
    [laptop, 'qwen3-32b', [[120, 31]]],
  ];
  let calls = 0;
  for (const [one, model, requests] of uses) {
    for (const [input, output] of requests) {
      assert.equal(await chat(one.key, model, { fake: { input, output } }), 200);
      calls += 1;
    }
  }
  assert.equal(await chat(search.key, 'qwen3-32b', { fake: { status: 422 } }), 422);
  calls += 1;
  await eventually('the requests are counted', async () => {
    const { data } = await api('GET', `usage?account=${ACCOUNT}&bucket=total`);
    return data[0]?.requests >= calls;
  });
  await eventually('where they came from is noted', async () => (await api('GET', `keys/${search.id}?account=${ACCOUNT}`)).addresses.length > 0);
  await api('POST', `keys/${laptop.id}/revoke?account=${ACCOUNT}`);
}

async function customers(person) {
  const { page } = person;
  await page.goto(`/a/${ACCOUNT}/keys`);
  await picture(person, 'keys');

  await page.getByRole('link', { name: w.createNew }).first().click();
  const form = sheet(person);
  await form.getByLabel(w.name, { exact: true }).fill('Shop assistant');
  const models = form.getByRole('group', { name: w.permission });
  await models.getByRole('radio', { name: w.only }).check();
  await models.getByRole('checkbox', { name: 'qwen3-32b' }).check();
  await picture(person, 'key-create', { part: form });
  await form.getByRole('button', { name: w.create, exact: true }).click();
  await shownKey(person);
  await picture(person, 'key-shown', { part: sheet(person) });
  await sheet(person).getByRole('link', { name: w.done }).click();

  await act(person, w, 'Website search', w.edit);
  await picture(person, 'key-edit', { part: sheet(person) });
  await page.keyboard.press('Escape');
  await page.goto(`/a/${ACCOUNT}/keys`);
  await act(person, w, 'Website search', w.revoke);
  await picture(person, 'key-revoke', { part: sheet(person) });
  await api('POST', 'leaks', { keys: [found], found_at: PLACE });
  await page.goto(`/a/${ACCOUNT}/keys`);
  await line(person, 'In a repository').getByRole('link', { name: 'In a repository' }).click();
  await page.getByRole('heading', { level: 1, name: 'In a repository' }).waitFor();
  await picture(person, 'key-leaked');

  await usage(person, ['light']);
  await page.goto(`/a/${ACCOUNT}/models`);
  await picture(person, 'models');
}

async function usage(person, themes) {
  await person.page.goto(`/a/${ACCOUNT}/usage`);
  await person.page.getByRole('main').getByRole('img').first().waitFor();
  await picture(person, 'usage', { most: 1_300, themes });
}

async function operators() {
  const olga = await api('POST', 'users', { name: 'Olga Operator', email: 'olga@example.com', operator: true });
  const person = await visitor({ width: WIDTH });
  const { page } = person;
  await page.setViewportSize({ width: WIDTH, height: HEIGHT });
  await signIn(person, (await api('POST', `users/${olga.id}/sign-in-links`)).url);
  for (const [path, name] of [
    ['/operator/accounts', 'operator-accounts'],
    [`/operator/accounts/${ACCOUNT}`, 'operator-account'],
    ['/operator/upstreams', 'operator-upstreams'],
    ['/operator/models', 'operator-models'],
    ['/operator/nodes', 'operator-nodes'],
  ]) {
    assert.equal((await page.goto(path)).status(), 200, path);
    await picture(person, name);
  }
  await person.context.close();
}

/** A picture of the page, or of this part of it, in both themes. */
async function picture(person, name, { part, most = MOST_HEIGHT, themes = ['light', 'dark'] } = {}) {
  const { page } = person;
  await step(`the picture ${name}`, async () => {
    // No field is being filled in, and nothing is pointed at.
    await page.evaluate(() => document.activeElement?.blur());
    await page.mouse.move(0, 0);
    for (const theme of themes) {
      await page.evaluate((value) => { document.documentElement.dataset.theme = value; }, theme);
      await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
      const file = { path: join(given.pictures, `${name}-${theme}.png`), animations: 'disabled' };
      if (part) {
        await part.screenshot(file);
      } else {
        const height = await page.evaluate(() => Math.ceil(document.querySelector('main').getBoundingClientRect().bottom));
        await page.screenshot({ ...file, clip: { x: 0, y: 0, width: WIDTH, height: Math.min(height, most) } });
      }
    }
    await page.evaluate((value) => { document.documentElement.dataset.theme = value; }, person.theme);
  });
}
