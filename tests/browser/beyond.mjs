// Beyond the guide: rotate, disable and enable, a long list, trying a model, an account that is suspended.

import { script, visitor, signIn, inspect, step, each, customer, key, api, chat, stream, eventually, copied, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey, facts } from './pages.mjs';

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
    await step('a key whose first request still runs', () => running(person, account));
    await step('a long list', () => longList(person, account));
    await step('suspended by the operator', () => suspended(person, account, olga));
    await person.context.close();
  });
  await step('copying over plain http', copying);
});

/** Where a page is no secure context, a browser has no clipboard for scripts: the button copies all the same. */
async function copying() {
  const person = await visitor();
  const { page } = person;
  await page.addInitScript(() => Object.defineProperty(navigator, 'clipboard', { value: undefined }));
  await signIn(person, await (await customer('plain-http')).link());
  await page.goto('/a/plain-http/keys');
  await page.getByRole('link', { name: w.createNew }).first().click();
  await sheet(person).getByLabel(w.name, { exact: true }).fill('Copied');
  await sheet(person).getByRole('radio', { name: w.all }).check();
  await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
  const text = await shownKey(person);
  const reader = await person.context.newPage();
  await reader.goto('/me');
  const button = sheet(person).getByRole('button', { name: w.copy, exact: true }).first();
  const inClipboard = await copied(reader, async () => {
    await page.bringToFront();
    await button.click();
    await sheet(person).getByRole('button', { name: w.copied }).first().waitFor();
    await reader.bringToFront();
  });
  assert.equal(inClipboard, text);
  await step('where that is refused too, the text is marked and the button says how', async () => {
    await page.bringToFront();
    await page.evaluate(() => { document.execCommand = () => false; });
    await button.or(sheet(person).getByRole('button', { name: w.copied })).first().click();
    await sheet(person).getByRole('button', { name: /Marked: press Ctrl\+C/ }).waitFor();
    assert.equal(await page.evaluate(() => getSelection().toString()), text);
  });
  await person.context.close();
}

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

/** A request is counted when it ends; who revokes is told of one that still runs all the same. */
async function running(person, account) {
  const { id, key: text } = await key(account, { name: 'Just begun' });
  await person.page.goto(`/a/${account}/keys`);
  await act(person, w, 'Just begun', w.revoke);
  assert.match(await sheet(person).innerText(), /It was never used: nothing should break/);
  const answer = await stream(text, 'chat-a', { fake: { stall_at: 2 } });
  await eventually('where it came from is noted', async () => (await api('GET', `keys/${id}?account=${account}`)).addresses.length > 0);
  assert.equal((await api('GET', `keys/${id}?account=${account}`)).last_used_at, null, 'it is not counted yet');
  await person.page.goto(`/a/${account}/keys`);
  await act(person, w, 'Just begun', w.revoke);
  const said = await sheet(person).innerText();
  assert.match(said, /It is in use now/);
  assert.doesNotMatch(said, /never used/);
  assert.doesNotMatch((await facts(sheet(person)))[w.lastUsed], /never/);
  await sheet(person).getByRole('button', { name: w.revokeKey, exact: true }).click();
  await person.page.getByRole('heading', { name: w.dead }).waitFor();
  assert.equal((await facts(sheet(person)))[w.streams], '1');
  assert.match(await answer.text(), /api_key_revoked/);
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
