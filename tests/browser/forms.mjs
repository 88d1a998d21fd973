// Forms of customers beside those of keys, each sent wrong first: what is wrong stands beside its field and is said at the
// head, what was typed is kept (but for secrets), the field has the focus, and nothing was done. With and without JavaScript.

import { script, visitor, signIn, inspect, step, each, customer, api, assert } from './lib.mjs';
import { sheet, send, refusedAt, saying, typed } from './pages.mjs';

await script(async () => {
  const ways = [
    { js: true, name: 'with JavaScript', width: 1440, theme: 'dark' },
    { js: false, name: 'without JavaScript', width: 390, theme: 'light' },
  ];
  await each(ways, 2, async (way) => {
    const account = way.js ? 'acme' : 'plain';
    const ann = await customer(account);
    const person = await visitor(way);
    const { page } = person;
    await signIn(person, await ann.link());
    const field = (label) => sheet(person).getByLabel(label, { exact: true });
    const open = async (path, link) => {
      await page.goto(path);
      await page.getByRole('link', { name: link, exact: true }).first().click();
      await sheet(person).waitFor();
    };

    await step('a name', async () => {
      await open('/me', 'Change name');
      await field('Name').fill('');
      await send(person, 'Save');
      await refusedAt(person, field('Name'), /1 to 200 characters/);
      await field('Name').fill('Ann, renamed');
      await send(person, 'Save');
      await saying(person, /Saved/);
      await page.getByRole('heading', { name: 'Ann, renamed' }).waitFor();
    });
    await step('an access token', async () => {
      await open('/me', 'Create access token');
      await field('Ends after').selectOption({ label: '90 days' });
      await send(person, 'Create access token');
      await refusedAt(person, field('Name'), /1 to 200 characters|needed/);
      assert.deepEqual((await typed(sheet(person))).days, '90');
      await inspect(person, 'me-token-wrong');
      assert.match(await page.goto('/me').then(() => page.locator('main').innerText()), /You have none/);
    });
    await step('an invitation', async () => {
      await open(`/a/${account}/members`, 'Invite');
      await field('E-mail').fill('no address');
      await field('Role').selectOption({ label: 'viewer' });
      await send(person, 'Create link');
      await refusedAt(person, field('E-mail'), /not an e-mail address/);
      assert.deepEqual(await typed(sheet(person)), { email: 'no address', role: 'viewer' });
      await inspect(person, 'members-invite-wrong');
      await field('E-mail').fill(`gus@${account}.example.com`);
      await send(person, 'Create link');
      const shown = sheet(person).getByText(/\/invitations\//).first();
      await shown.waitFor();
      const link = (await shown.innerText()).trim();
      await step('accepted with a password that is too short', async () => {
        const guest = await visitor(way);
        await guest.page.goto(link);
        const main = guest.page.locator('main');
        const own = (label) => main.getByLabel(label, { exact: true });
        await own('Your name').fill('Gus');
        await own('Password').fill('short');
        await main.getByRole('button', { name: 'Create user and join' }).click();
        await main.getByText('Use at least 12 characters.').waitFor();
        assert.equal(await own('Password').getAttribute('aria-invalid'), 'true');
        assert.deepEqual([await own('Your name').inputValue(), await own('Password').inputValue()], ['Gus', '']);
        await inspect(guest, 'invitation-wrong');
        await guest.context.close();
      });
    });
    await step('a webhook', async () => {
      await open(`/a/${account}/webhooks`, 'Add webhook');
      await field('Name').fill('To our pager');
      await field('Endpoint').fill('http://10.0.0.1/hook');
      await send(person, 'Add webhook');
      await refusedAt(person, field('Endpoint'), /must begin with https/);
      assert.deepEqual(await typed(sheet(person)), { name: 'To our pager', url: 'http://10.0.0.1/hook' });
      await inspect(person, 'webhook-wrong');
      assert.equal((await api('GET', `webhooks?account=${account}`)).data.length, 0);
      await field('Endpoint').fill('https://hooks.example.com/tollgate');
      await send(person, 'Add webhook');
      await page.getByText('Keep it now: it is not shown again').waitFor();
    });
    await step('a password that is wrong', async () => {
      const user = await api('POST', 'users', { name: 'Pat', email: `pat-${account}@example.com`, memberships: [{ account, role: 'viewer' }] });
      const pat = await visitor(way);
      await signIn(pat, (await api('POST', `users/${user.id}/sign-in-links`)).url);
      await pat.page.goto('/me');
      await pat.page.getByRole('link', { name: 'Set a password' }).first().click();
      const own = (label) => sheet(pat).getByLabel(label, { exact: true });
      for (const [password, words] of [['short', /at least 12/], ['password1234', /guesses tries/], ['', /at least 12|needed/]]) {
        await own('New password').fill(password);
        await send(pat, 'Save');
        await refusedAt(pat, own('New password'), words);
        assert.equal(await own('New password').inputValue(), '', 'a password is not sent back');
      }
      await inspect(pat, 'me-password-wrong');
      await pat.context.close();
    });
    await person.context.close();
  });
});
