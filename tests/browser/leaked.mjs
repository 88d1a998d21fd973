// A key that was found in public: its row stands out and says where, its page says what to do, and doing that is at hand.
// Names of places are what a stranger sent: they stay text.

import { script, visitor, signIn, inspect, step, each, customer, member, key, api, chat, eventually, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey } from './pages.mjs';

const PLACE = 'https://github.example.com/acme/shop/blob/main/config.py#L7';
const STRANGE = 'javascript:alert(1)//<b>" onmouseover="alert(2)';
const SAID = {
  en: { leaked: 'leaked', off: /found in public and (is|are) switched off/, todo: /Create a new key/ },
  vi: { leaked: 'bị lộ', off: /bị phát hiện công khai và đã bị tắt/, todo: /Hãy tạo key mới|Tạo key mới/ },
};

await script(async () => {
  const ways = [
    { lang: 'en', theme: 'light', width: 1440, js: true, name: 'with JavaScript' },
    { lang: 'vi', theme: 'dark', width: 390, js: false, name: 'without JavaScript' },
  ];
  await each(ways, 2, async (way) => {
    const [w, said] = [words[way.lang], SAID[way.lang]];
    const account = way.js ? 'acme' : 'plain';
    const ann = await customer(account);
    const person = await visitor(way);
    const { page } = person;
    await signIn(person, await ann.link());
    const found = await key(account, { name: 'In a repository', models: ['chat-a'] });
    const strange = await key(account, { name: 'Somewhere', models: ['chat-a'] });
    await key(account, { name: 'Safe' });
    assert.equal(await chat(found.key, 'chat-a'), 200);
    for (const [one, place] of [[found, PLACE], [strange, STRANGE]]) {
      await api('POST', 'leaks', { keys: [one.key], found_at: place });
      assert.equal(await chat(one.key, 'chat-a'), 401, 'it is dead at once');
    }
    await page.goto(`/a/${account}/keys`);
    const row = line(person, 'In a repository');
    await step('its row stands out, by more than its colour, and says where', async () => {
      await row.getByText(said.leaked, { exact: true }).waitFor();
      const colour = (one) => one.evaluate((element) => getComputedStyle(element).backgroundColor);
      assert.notEqual(await colour(row), await colour(line(person, 'Safe')));
      assert.equal(await row.getByRole('link', { name: PLACE }).getAttribute('href'), PLACE);
      await page.getByRole('status').filter({ hasText: said.off }).first().waitFor();
      assert.ok((await line(person, 'Somewhere').innerText()).includes(STRANGE), 'a place that is no address stays text');
      assert.equal(await page.locator('a[href^="javascript:"]').count(), 0);
      await inspect(person, 'keys-leaked');
    });
    await step('its page says what to do, and leads there', async () => {
      await row.getByRole('link', { name: 'In a repository' }).click();
      await page.getByRole('heading', { level: 1, name: 'In a repository' }).waitFor();
      const text = await page.locator('main').innerText();
      assert.ok(text.includes(PLACE) && said.todo.test(text), text);
      await inspect(person, 'keys-leaked-details');
    });
    await step('a new key in its place, and the old one revoked', async () => {
      await page.goto(`/a/${account}/keys`);
      await page.getByRole('link', { name: w.createNew }).first().click();
      await sheet(person).getByLabel(w.name, { exact: true }).fill('In its place');
      await sheet(person).getByRole('radio', { name: w.all }).check();
      await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
      assert.equal(await chat(await shownKey(person), 'chat-a'), 200);
      await sheet(person).getByRole('link', { name: w.done }).click();
      await act(person, w, 'In a repository', w.revoke);
      await sheet(person).getByRole('button', { name: w.revokeKey, exact: true }).click();
      await page.getByRole('heading', { name: w.dead }).waitFor();
      await page.goto(`/a/${account}/keys`);
      await eventually('it is revoked', async () => (await row.innerText()).includes(w.revoked));
    });
    await step('who only looks on is told as well, and can do nothing', async () => {
      const viewer = await visitor(way);
      await signIn(viewer, await (await member(account, 'viewer')).link());
      await viewer.page.goto(`/a/${account}/keys`);
      await line(viewer, 'Somewhere').getByText(said.leaked, { exact: true }).waitFor();
      await viewer.context.close();
    });
    await person.context.close();
  });
});
