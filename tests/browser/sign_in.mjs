// Signing in and out, each way; language and theme. With and without JavaScript.

import { script, visitor, signIn, inspect, step, each, customer, api, assert, given } from './lib.mjs';
import { words } from './words.mjs';

await script(async () => {
  const ann = await customer('acme');

  await each([{ js: true, name: 'with JavaScript' }, { js: false, name: 'without JavaScript' }], 1, async ({ js }) => {
    const person = await visitor({ js });
    const { page } = person;
    const w = words.en;
    const link = await ann.link();

    await step('who is not signed in is led to the sign-in page', async () => {
      await page.goto('/a/acme/keys');
      assert.equal(new URL(page.url()).pathname, '/sign-in');
      await inspect(person, 'sign-in');
    });
    await step('the link of another visit still works after it was only looked at', async () => {
      await page.goto(link);
      await inspect(person, 'sign-in-link');
      await page.goto(link);
    });
    await step('the button signs in', async () => {
      await signIn(person, link);
      await page.getByRole('button', { name: w.accountIcon }).click();
      await page.getByRole('link', { name: w.myAccount }).waitFor();
      await inspect(person, 'account-menu');
    });
    await step('the link does not work a second time', async () => {
      const other = await visitor({ js });
      await other.page.goto(link);
      await other.page.locator('main form').getByRole('button').click();
      await other.page.getByRole('heading', { name: 'This link does not work' }).waitFor();
      await inspect(other, 'sign-in-link-used');
      await other.context.close();
    });
    await step('language and theme are chosen in the menu and stay', async () => {
      await page.goto('/me');
      await page.getByRole('button', { name: w.accountIcon }).click();
      await page.getByRole('button', { name: 'Tiếng Việt' }).click();
      await page.getByRole('button', { name: words.vi.accountIcon }).click();
      await page.getByRole('button', { name: words.vi.dark, exact: true }).click();
      await page.locator('html[data-theme=dark]').waitFor();
      await page.reload();
      assert.equal(await page.locator('html').getAttribute('lang'), 'vi');
      assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
      await page.getByRole('button', { name: words.vi.accountIcon }).click();
      await page.getByRole('button', { name: 'English' }).click();
      await page.locator('html[lang=en]').waitFor();
      assert.equal(new URL(page.url()).pathname, '/me', 'one comes back to the page one was on');
    });
    await step('signing out ends the session for good', async () => {
      const cookies = await person.context.cookies();
      const session = cookies.find((cookie) => cookie.name.endsWith('tollgate_session'));
      assert.ok(session.httpOnly && session.sameSite === 'Lax', JSON.stringify(session));
      await page.getByRole('button', { name: w.accountIcon }).click();
      await page.getByRole('button', { name: w.signOut }).click();
      await page.waitForURL('**/sign-in');
      await person.context.addCookies([session]);
      await page.goto('/me');
      assert.equal(new URL(page.url()).pathname, '/sign-in');
      await page.goBack();
    });
    await step('e-mail and password', () => password(person, w, js ? 'ann@example.com' : 'noscript@example.com'));
    await step('OpenID Connect', () => openId(js));
    await step('an invitation', () => invitation(js));
    await person.context.close();
  });
});

/** Sets a password, signs in by it, sees its sessions and ends the others. */
async function password(person, w, email) {
  const { page, js } = person;
  const secret = 'a long line of a song nobody sings';
  const user = await api('POST', 'users', { name: 'Pat', email, memberships: [{ account: 'acme', role: 'member' }] });
  const link = await api('POST', `users/${user.id}/sign-in-links`);
  await signIn(person, link.url);
  await page.goto('/me');
  const sheet = js ? page.getByRole('dialog') : page.locator('#sheet');
  await step('a password that is too short is refused beside the field', async () => {
    await page.getByRole('link', { name: 'Set a password' }).first().click();
    await sheet.getByLabel('New password').fill('short');
    await sheet.getByRole('button', { name: 'Save' }).click();
    await sheet.getByText('Use at least 12 characters.').waitFor();
    assert.equal(await sheet.getByLabel('New password').getAttribute('aria-invalid'), 'true');
    await inspect(person, 'me-password');
    await sheet.getByLabel('New password').fill(secret);
    await sheet.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('status').filter({ hasText: 'Password saved' }).waitFor();
  });
  const other = await visitor({ js });
  await step('wrong and unknown are told alike', async () => {
    const said = [];
    for (const [mail, typed] of [[email, 'not this one at all'], ['nobody@example.com', secret]]) {
      await other.page.goto('/sign-in?next=%2Fme');
      await other.page.getByLabel('E-mail').fill(mail);
      await other.page.getByLabel('Password').fill(typed);
      await other.page.getByRole('button', { name: 'Sign in', exact: true }).click();
      said.push(await other.page.getByRole('alert').innerText());
      assert.equal(await other.page.getByLabel('E-mail').inputValue(), mail, 'what was typed stays');
      assert.equal(await other.page.getByLabel('Password').inputValue(), '', 'but for the password');
    }
    assert.equal(said[0], said[1]);
    await inspect(other, 'sign-in-refused');
  });
  await step('the right one signs in and leads on', async () => {
    await other.page.getByLabel('E-mail').fill(email);
    await other.page.getByLabel('Password').fill(secret);
    await other.page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await other.page.waitForURL('**/me');
  });
  await step('signing out everywhere else ends the first session', async () => {
    assert.ok((await other.page.locator('main').innerText()).includes('password'), 'the sessions say how they began');
    await other.page.getByRole('link', { name: 'Sign out everywhere else' }).click();
    const ask = js ? other.page.getByRole('dialog') : other.page.locator('#sheet');
    await ask.getByRole('button', { name: 'Sign out everywhere else' }).click();
    await other.page.getByRole('status').filter({ hasText: 'Signed out everywhere else' }).waitFor();
    await inspect(other, 'me');
    await page.goto('/me');
    assert.equal(new URL(page.url()).pathname, '/sign-in');
  });
  await other.context.close();
}

/** By the identity provider's button, through its own pages and back. */
async function openId(js) {
  const person = await visitor({ js });
  person.leaves = (url) => url.startsWith(given.issuer);
  const { page } = person;
  await page.goto('/sign-in?next=%2Fme');
  await page.getByRole('link', { name: 'The provider' }).click();
  // Its two questions: who are you, and may this service know?
  for (let asked = 0; asked < 2; asked += 1) {
    await page.waitForURL('**/interaction/**');
    const at = page.url();
    await page.getByLabel('Who?').fill('minh');
    await page.getByRole('button').click();
    await page.waitForURL((url) => url.href !== at);
  }
  await page.waitForURL('**/me');
  assert.ok((await page.locator('main').innerText()).includes('minh@example.com'));
  await inspect(person, 'me-by-provider');
  await person.context.close();
}

/** An owner invites, somebody without a user joins; roles are changed and taken away. */
async function invitation(js) {
  const account = js ? 'club' : 'club-plain';
  const owner = await visitor({ js });
  await signIn(owner, await (await customer(account)).link());
  const sheet = js ? owner.page.getByRole('dialog') : owner.page.locator('#sheet');
  await owner.page.goto(`/a/${account}/members`);
  await owner.page.getByRole('link', { name: 'Invite', exact: true }).click();
  await sheet.getByLabel('Role').selectOption({ label: 'viewer' });
  await sheet.getByRole('button', { name: 'Create link' }).click();
  const link = (await sheet.getByText(/\/invitations\//).first().innerText()).trim();
  await inspect(owner, 'members-link');

  const guest = await visitor({ js });
  await guest.page.goto(link);
  await inspect(guest, 'invitation');
  await guest.page.getByLabel('Your name').fill('Gus <b>Guest</b>');
  await guest.page.getByLabel('E-mail').fill(`gus@${account}.example.com`);
  await guest.page.getByLabel('Password').fill('a password that nobody guesses');
  await guest.page.getByRole('button', { name: 'Create user and join' }).click();
  await guest.page.waitForURL(`**/a/${account}/**`);
  const late = await visitor({ js });
  assert.ok((await late.page.goto(link)).status() >= 400, 'it works once');
  await late.context.close();

  await owner.page.goto(`/a/${account}/members`);
  const row = owner.page.locator('tbody tr').filter({ hasText: 'Gus <b>Guest</b>' });
  assert.match(await row.innerText(), /viewer/);
  await row.getByRole('link', { name: /Change role/ }).click();
  await sheet.getByLabel('Role').selectOption({ label: 'member' });
  await sheet.getByRole('button', { name: 'Save' }).click();
  await row.getByText('member', { exact: true }).waitFor();
  await inspect(owner, 'members');
  await row.getByRole('link', { name: /Remove/ }).click();
  await sheet.getByRole('button', { name: 'Remove' }).click();
  await row.waitFor({ state: 'detached' });
  assert.equal((await guest.page.goto(`/a/${account}/keys`)).status(), 404, 'who was removed sees nothing any more');
  await guest.context.close();
  await owner.context.close();
}
