// A node that says nothing: who revokes a key is told in plain words that it is not yet proven dead everywhere, and until
// when at most; asking again shows when it was. A node of two is stopped where it stands.

import { script, visitor, signIn, inspect, step, each, api, customer, key, chat, given, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, facts } from './pages.mjs';

/** Longer than a call waits for the proof. */
const PATIENCE = { timeout: 90_000 };
const SAID = {
  en: { title: 'Saved, but not confirmed everywhere yet', until: /stops serving by itself, at the latest at .*\d/, again: 'Ask again', nodes: 'Nodes that confirmed' },
  vi: { title: 'Đã lưu, nhưng chưa được xác nhận ở mọi nơi', until: /tự ngừng phục vụ, muộn nhất vào lúc .*\d/, again: 'Kiểm tra lại', nodes: 'Số nút đã xác nhận' },
};

await script(async () => {
  const olga = await api('POST', 'users', { name: 'Olga', operator: true });
  const ways = [
    { lang: 'en', js: true, width: 1440, name: 'with JavaScript' },
    { lang: 'vi', js: false, width: 390, name: 'without JavaScript' },
  ];
  const all = [];
  for (const way of ways) {
    const account = way.js ? 'acme' : 'plain';
    const w = words[way.lang];
    const ann = await customer(account);
    const { key: text } = await key(account, { name: 'Lost' });
    const person = await visitor(way);
    await signIn(person, await ann.link());
    await person.page.goto(`/a/${account}/keys`);
    await act(person, w, 'Lost', w.revoke);
    all.push({ ...way, account, w, said: SAID[way.lang], text, person });
  }
  process.kill(given.silent, 'SIGSTOP');
  await each(all, 2, async ({ js, account, w, said, text, person }) => {
    const { page } = person;
    await step('not proven yet, and that is said', async () => {
      const button = sheet(person).getByRole('button', { name: w.revokeKey, exact: true });
      await button.click({ noWaitAfter: true });
      if (js) {
        // It takes its time, and shows that it is at work; nobody presses twice.
        await page.locator('.progress').waitFor();
        assert.ok(await button.isDisabled());
      }
      await page.getByRole('heading', { name: said.title }).waitFor(PATIENCE);
      assert.match((await sheet(person).innerText()).replace(/\s+/g, ' '), said.until);
      await inspect(person, 'keys-revoke-pending');
      assert.equal(await chat(text, 'chat-a'), 401, 'where it is known, it is dead');
    });
    await step('asked again until it is', async () => {
      const dead = page.getByRole('heading', { name: w.dead });
      await sheet(person).getByRole('button', { name: said.again }).click({ noWaitAfter: true });
      await dead.waitFor(PATIENCE);
      const proof = await facts(sheet(person));
      assert.ok(w.number(proof[said.nodes]) >= 1, JSON.stringify(proof));
      await inspect(person, 'keys-revoke-proven');
      await page.goto(`/a/${account}/keys`);
      assert.match(await line(person, 'Lost').innerText(), new RegExp(w.revoked));
    });
    await person.context.close();
  });
  await step('the operator sees which node it is, and what to do', async () => {
    const person = await visitor();
    await signIn(person, (await api('POST', `users/${olga.id}/sign-in-links`)).url);
    await person.page.goto('/operator/nodes');
    await person.page.getByText('Gone', { exact: true }).waitFor();
    await person.page.getByText(/It has stopped or lost its lease/).waitFor();
    await inspect(person, 'operator-nodes-gone');
    await person.context.close();
  });
  for (const [looks, w] of [
    [{ js: false }, { ask: 'Write off…', button: 'Write off', cancel: 'Cancel', done: null }],
    [{ lang: 'vi', theme: 'dark', width: 390 }, { ask: 'Ghi nhận mất…', button: 'Ghi nhận mất', cancel: 'Hủy', done: /đã được ghi nhận là mất/ }],
  ]) {
    const person = await visitor(looks);
    await step(`${person.name}: the operator gives up what it has not counted`, async () => {
      const { page } = person;
      await signIn(person, (await api('POST', `users/${olga.id}/sign-in-links`)).url);
      await page.goto('/operator/nodes');
      await page.getByRole('link', { name: w.ask }).click();
      await page.getByRole('button', { name: w.button, exact: true }).waitFor();
      await inspect(person, 'operator-node-write-off');
      if (w.done) {
        await page.getByRole('button', { name: w.button, exact: true }).click();
        await page.getByText(w.done).waitFor();
        assert.equal(await page.getByRole('link', { name: w.ask }).count(), 0, 'once');
      } else {
        await page.getByRole('link', { name: w.cancel }).click();
        await page.getByRole('link', { name: w.ask }).waitFor();
      }
    });
    await person.context.close();
  }
});
