// Beyond the guide: rotate, disable and enable, a long list, trying a model, an account that is suspended.

import { script, visitor, signIn, inspect, step, each, customer, key, api, chat, eventually, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey } from './pages.mjs';

/** More keys than one page of the list shows. */
const MANY = 120;
const w = words.en;

await script(async () => {
  const olga = await api('POST', 'users', { name: 'Olga', operator: true });
  await each([{ js: true, name: 'with JavaScript' }, { js: false, name: 'without JavaScript' }], 2, async ({ js }) => {
    const account = js ? 'acme' : 'plain';
    const ann = await customer(account);
    const person = await visitor({ js });
    await signIn(person, await ann.link());
    await step('rotate', () => rotate(person, account));
    await step('disable and enable', () => disable(person, account));
    await step('trying a model', () => tryIt(person, account));
    await step('a long list', () => longList(person, account));
    await step('suspended by the operator', () => suspended(person, account, olga));
    await person.context.close();
  });
});

async function rotate(person, account) {
  const old = await key(account, { name: 'Turning' });
  await person.page.goto(`/a/${account}/keys`);
  await act(person, w, 'Turning', 'Rotate');
  await sheet(person).getByLabel(/old text/).selectOption({ label: 'for 1 hour' });
  await inspect(person, 'keys-rotate');
  await sheet(person).getByRole('button', { name: 'Rotate key' }).click();
  const text = await shownKey(person);
  assert.notEqual(text, old.key);
  assert.deepEqual([await chat(text, 'chat-a'), await chat(old.key, 'chat-a')], [200, 200], 'both work during the grace');
  await sheet(person).getByRole('link', { name: w.done }).click();
  await act(person, w, 'Turning', 'Rotate');
  await sheet(person).getByLabel(/old text/).selectOption({ label: 'not at all: it stops at once' });
  await sheet(person).getByRole('button', { name: 'Rotate key' }).click();
  const last = await shownKey(person);
  assert.deepEqual([await chat(last, 'chat-a'), await chat(text, 'chat-a')], [200, 401]);
}

async function disable(person, account) {
  const { key: text } = await key(account, { name: 'Switch' });
  await person.page.goto(`/a/${account}/keys`);
  for (const [task, button, status, said] of [
    ['Disable', 'Disable key', 401, /disabled/],
    ['Enable', 'Enable key', 200, /enabled/],
  ]) {
    await act(person, w, 'Switch', task);
    await sheet(person).getByRole('button', { name: button }).click();
    await person.page.getByRole('status').filter({ hasText: said }).first().waitFor();
    assert.equal(await chat(text, 'chat-a'), status, task);
  }
}

async function tryIt(person, account) {
  const { page } = person;
  await key(account, { name: 'For trying', models: ['chat-a'] });
  const counted = async () => (await api('GET', `usage?account=${account}&bucket=total&model=chat-a`)).data[0]?.requests ?? 0;
  await page.goto(`/a/${account}/models`);
  await page.getByRole('link', { name: 'chat-a', exact: true }).click();
  await page.getByLabel('API key').selectOption({ index: 0 });
  await page.getByLabel('Message').fill('Hello?');
  const before = await counted();
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText(/7 input tokens, 5 output tokens/).waitFor();
  assert.match(await page.locator('.said').innerText(), person.js ? /wörd/ : /Hello there|wörd/);
  await inspect(person, 'model-tried');
  await eventually('metered like any call', async () => (await counted()) > before);
}

async function longList(person, account) {
  const { page, js } = person;
  for (let at = 0; at < MANY; at += 1) {
    await key(account, { name: `Robot ${String(at).padStart(3, '0')}` });
  }
  const search = async (text) => {
    await page.getByRole('searchbox', { name: 'Search' }).fill(text);
    if (!js) {
      await page.getByRole('button', { name: 'Apply' }).click();
    }
    await page.waitForURL((url) => url.searchParams.get('search') === text);
  };
  await page.goto(`/a/${account}/keys`);
  await search('robot');
  await step('every key is on exactly one page', async () => {
    const seen = [];
    for (;;) {
      await line(person, `Robot ${String(MANY - 1 - seen.length).padStart(3, '0')}`).waitFor();
      seen.push(...(await page.locator('tbody tr .name').allInnerTexts()));
      const next = page.getByRole('link', { name: 'Next', exact: true });
      if ((await next.count()) === 0) {
        break;
      }
      await next.click();
    }
    assert.equal(new Set(seen).size, MANY);
    assert.equal(seen.length, MANY);
  });
  await search('robot 007');
  await line(person, 'Robot 007').waitFor();
  await eventually('only that one', async () => (await page.locator('tbody tr').count()) === 1);
  await search('nobody has this');
  await page.getByRole('heading', { name: 'No key fits' }).waitFor();
  await inspect(person, 'keys-none-found');
}

async function suspended(person, account, olga) {
  const operator = await visitor({ js: person.js });
  await signIn(operator, (await api('POST', `users/${olga.id}/sign-in-links`)).url);
  const { key: text } = await key(account, { name: 'Stopped' });
  await operator.page.goto('/operator/accounts');
  await operator.page.getByRole('link', { name: account, exact: true }).first().click();
  for (const [task, status] of [['Suspend', 403], ['Resume', 200]]) {
    await operator.page.getByRole('link', { name: task, exact: true }).click();
    await inspect(operator, `operator-${task.toLowerCase()}`);
    await sheet(operator).getByRole('button', { name: task }).click();
    await operator.page.getByRole('status').filter({ hasText: /Done/ }).first().waitFor();
    assert.equal(await chat(text, 'chat-a'), status, task);
    await person.page.goto(`/a/${account}/keys`);
    assert.equal(await person.page.getByText(/This account is suspended/).count(), status === 403 ? 1 : 0);
    await operator.page.reload();
  }
  await operator.context.close();
}
