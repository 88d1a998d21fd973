// Every task of the guide by keyboard alone: Tab, Enter, Space, arrows, Escape. Wherever the focus is, it can be seen.

import { script, visitor, signIn, step, each, customer, chat, eventually, copied, tabTo, focusShows, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, shownKey } from './pages.mjs';

await script(async () => {
  await each([{ theme: 'light' }, { theme: 'dark' }].map((way) => ({ ...way, name: way.theme })), 2, async ({ theme }) => {
    const w = words.en;
    const account = `keys-${theme}`;
    const ann = await customer(account);
    const person = await visitor({ theme });
    const { page } = person;
    const press = (name) => page.keyboard.press(name);

    await step('sign in', async () => {
      await page.goto(await ann.link());
      await tabTo(page, page.locator('main form').getByRole('button'));
      await press('Enter');
      await page.waitForURL('**/keys');
    });
    await step('View', async () => {
      await page.goto('/me');
      await press('Tab');
      await focusShows(page);
      assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to content/);
      await tabTo(page, page.getByRole('button', { name: w.accountIcon }));
      await press('Enter');
      await tabTo(page, page.getByRole('link', { name: w.myAccount, exact: true }));
      await press('Enter');
      await page.getByRole('heading', { level: 1, name: w.myKeys }).waitFor();
    });
    const text = await step('Create', async () => {
      const opener = page.getByRole('link', { name: w.createNew }).first();
      await tabTo(page, opener);
      await press('Enter');
      await sheet(person).waitFor();
      await focusShows(page);
      await press('Escape');
      await sheet(person).waitFor({ state: 'hidden' });
      assert.ok(await opener.evaluate((element) => element === document.activeElement), 'the focus comes back');
      await press('Enter');
      await sheet(person).waitFor();
      await tabTo(page, sheet(person).getByLabel(w.name, { exact: true }));
      await page.keyboard.type('By keyboard');
      const only = sheet(person).getByRole('radio', { name: w.only });
      await tabTo(page, only.or(sheet(person).getByRole('radio', { name: w.all })).and(page.locator(':checked')));
      while (!(await only.isChecked())) {
        await press('ArrowDown');
      }
      await tabTo(page, sheet(person).getByRole('searchbox', { name: w.search }));
      await page.keyboard.type('chat-a');
      await tabTo(page, sheet(person).getByRole('checkbox', { name: 'chat-a' }));
      await press('Space');
      await tabTo(page, sheet(person).getByRole('button', { name: w.create, exact: true }));
      await press('Enter');
      const text = await shownKey(person);
      await tabTo(page, sheet(person).getByRole('button', { name: w.copy, exact: true }).first());
      const inClipboard = await copied(page, async () => {
        await press('Enter');
        await sheet(person).getByRole('button', { name: w.copied }).first().waitFor();
      });
      assert.equal(inClipboard, text);
      await tabTo(page, sheet(person).getByRole('link', { name: w.done }).or(sheet(person).getByRole('button', { name: w.done })));
      await press('Enter');
      await line(person, 'By keyboard').waitFor();
      return text;
    });
    assert.equal(await chat(text, 'chat-a'), 200);
    const action = async (name, task) => {
      await tabTo(page, line(person, name).getByRole('button', { name: w.action }));
      await press('Enter');
      await tabTo(page, page.getByRole('link', { name: task, exact: true }).locator('visible=true'));
      await press('Enter');
      await sheet(person).waitFor();
      await focusShows(page);
    };
    await step('Edit', async () => {
      await action('By keyboard', w.edit);
      await tabTo(page, sheet(person).getByLabel(w.name, { exact: true }));
      await press('Control+a');
      await page.keyboard.type('By keys');
      const all = sheet(person).getByRole('radio', { name: w.all });
      await tabTo(page, sheet(person).getByRole('radio', { name: w.only }));
      while (!(await all.isChecked())) {
        await press('ArrowUp');
      }
      await tabTo(page, sheet(person).getByRole('button', { name: w.save, exact: true }));
      await press('Enter');
      await page.getByRole('status').filter({ hasText: w.saved }).waitFor();
      await line(person, 'By keys').waitFor();
    });
    await step('Usage', async () => {
      await tabTo(page, page.getByRole('button', { name: w.accountIcon }), { key: 'Shift+Tab' });
      await press('Enter');
      await tabTo(page, page.getByRole('link', { name: w.myUsage, exact: true }).locator('visible=true').first());
      await press('Enter');
      await page.getByRole('heading', { level: 1, name: w.myUsage }).waitFor();
      await eventually('it is counted', async () => {
        await page.reload();
        return (await page.locator('#part-table').count()) === 1;
      });
      // A radio group is one stop, and its arrows choose.
      await tabTo(page, page.getByRole('group', { name: w.range }).locator(':checked'));
      await press('ArrowRight');
      await page.waitForURL(/range=/);
      await tabTo(page, page.getByLabel(w.groupBy));
      await tabTo(page, page.getByRole('link', { name: w.csv }));
      await tabTo(page, page.locator('summary', { hasText: w.chartTable }));
      await press('Enter');
      await page.locator('#chart-data').waitFor();
    });
    await step('Revoke', async () => {
      await page.goto(`/a/${account}/keys`);
      await action('By keys', w.revoke);
      await press('Escape');
      await sheet(person).waitFor({ state: 'hidden' });
      await page.reload();
      await action('By keys', w.revoke);
      await tabTo(page, sheet(person).getByRole('button', { name: w.revokeKey, exact: true }));
      await press('Enter');
      await page.getByRole('heading', { name: w.dead }).waitFor();
      assert.equal(await chat(text, 'chat-a'), 401);
    });
    await person.context.close();
  });
});
