// Signing in and out, each way; language and theme. With and without JavaScript.

import { script, visitor, signIn, inspect, step, each, customer, assert, given } from './lib.mjs';
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
    await person.context.close();
  });
});
