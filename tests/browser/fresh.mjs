// My usage on a page that is left open: a figure is never older than five seconds, and the page says how fresh it is. Paused
// it says so, and grows old in plain sight; without the script a link shows newer figures.

import { script, visitor, signIn, inspect, step, customer, key, api, chat, eventually, assert } from './lib.mjs';
import { words } from './words.mjs';
import { figures } from './pages.mjs';

/** The oldest that a figure may be, in seconds. */
const OLDEST = 5;
/** So many refreshes in a row that never let it grow older: ten seconds. */
const REFRESHES = 4;
const w = words.en;

await script(async () => {
  const ann = await customer('fresh');
  const { key: text } = await key('fresh', { name: 'Steady' });
  let sent = 0;
  const call = async () => {
    assert.equal(await chat(text, 'chat-a', { fake: { input: 100, output: 10 } }), 200);
    sent += 1;
  };
  await call();
  await eventually('the first is counted', async () => (await api('GET', 'usage?account=fresh&bucket=total')).data[0]?.requests === 1);
  const open = async (options) => {
    const person = await visitor(options);
    await signIn(person, await ann.link());
    await person.page.goto('/a/fresh/usage');
    const shown = () => figures(person, w).then((rows) => rows.at(-1).requests).catch(() => -1);
    return { person, page: person.page, shown };
  };

  await step('with JavaScript', async () => {
    const { person, page, shown } = await open({});
    await page.evaluate(() => { window.stays = true; });
    await step('what is used appears by itself', async () => {
      for (let at = 0; at < 3; at += 1) {
        await call();
        await eventually(`request ${sent} appears`, async () => (await shown()) === sent);
      }
      assert.ok(await page.evaluate(() => window.stays), 'without a reload');
    });
    await step('and what is said of its age is never above five seconds', async () => {
      // A machine that is at its limits may be late now and then: a stretch without it is waited for.
      await page.evaluate((oldest) => {
        const part = document.getElementById('part-fresh');
        window.seen = { refreshes: 0, oldest: 0 };
        let age = null;
        const look = () => {
          const ago = document.getElementById('fresh-ago');
          const seconds = Number(/\d+/.exec(ago?.textContent ?? '')?.[0] ?? Infinity);
          if (seconds > oldest) window.seen = { refreshes: 0, oldest: 0 };
          window.seen.oldest = Math.max(window.seen.oldest, seconds);
          if (ago && ago.dataset.age !== age) window.seen.refreshes += 1;
          age = ago?.dataset.age ?? null;
        };
        new MutationObserver(look).observe(part, { childList: true, subtree: true, characterData: true });
      }, OLDEST);
      await eventually(`${REFRESHES} refreshes in a row`, () => page.evaluate((most) => window.seen.refreshes >= most, REFRESHES));
      const { oldest } = await page.evaluate(() => window.seen);
      assert.ok(oldest <= OLDEST, `${oldest} s`);
    });
    await step('paused it stands still and says how old it is', async () => {
      await page.getByRole('button', { name: 'Pause updates' }).click();
      await page.getByRole('status').filter({ hasText: /Paused/ }).waitFor({ state: 'attached' });
      const before = await shown();
      await call();
      await eventually('it says that it is older', async () => {
        const [, seconds] = w.secondsAgo.exec(await page.locator('#part-fresh').innerText());
        return Number(seconds) > OLDEST + 3;
      });
      assert.equal(await shown(), before);
      await inspect(person, 'usage-paused');
      await page.getByRole('button', { name: 'Resume updates' }).click();
      await eventually('it goes on', async () => (await shown()) === sent);
    });
    await person.context.close();
  });
  await step('without JavaScript', async () => {
    const { person, page, shown } = await open({ js: false });
    await page.goto('/a/fresh/usage?range=30d&by=key');
    const [, seconds] = w.secondsAgo.exec(await page.locator('#part-fresh').innerText());
    assert.ok(Number(seconds) <= OLDEST, `${seconds} s`);
    await call();
    await eventually('a click shows it', async () => {
      await page.getByRole('link', { name: 'Show newer figures' }).click();
      return (await shown()) === sent;
    });
    const asked = new URL(page.url()).searchParams;
    assert.deepEqual([asked.get('range'), asked.get('by')], ['30d', 'key'], 'it is the same question');
    await inspect(person, 'usage-fresh');
    await person.context.close();
  });
});
