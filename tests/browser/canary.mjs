// Everything that shows a secret in the console, in a browser that keeps what browsers keep. Prints what was shown: the
// test that started this looks for it in the browser's files.

import { script, visitor, signIn, step, customer, eventually, given, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey } from './pages.mjs';

const w = words.en;

await script(async () => {
  const ann = await customer('acme');
  const person = await visitor({ profile: given.profile });
  const { page, context } = person;
  const shown = [];
  await signIn(person, await ann.link());
  const session = (await context.cookies()).find((cookie) => cookie.name.endsWith('tollgate_session'));
  shown.push(session.value);

  await step('a key is made, copied and left', async () => {
    await page.goto('/a/acme/keys');
    await page.getByRole('link', { name: w.createNew }).first().click();
    await sheet(person).getByLabel(w.name, { exact: true }).fill('Kept nowhere');
    await sheet(person).getByRole('radio', { name: w.all }).check();
    await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
    shown.push(await shownKey(person));
    await sheet(person).getByRole('button', { name: w.copy, exact: true }).first().click();
    await sheet(person).getByRole('link', { name: w.done }).or(sheet(person).getByRole('button', { name: w.done })).click();
    await line(person, 'Kept nowhere').waitFor();
  });
  await step('it is rotated, and the page with its text is left open by a reload and by Back', async () => {
    await act(person, w, 'Kept nowhere', 'Rotate');
    await sheet(person).getByRole('button', { name: 'Rotate key' }).click();
    shown.push(await shownKey(person));
    await page.reload();
    await page.goto('/a/acme/usage');
    await page.goBack();
  });
  await step('an access token is made', async () => {
    await page.goto('/me/tokens/new');
    const form = page.locator('#sheet form');
    await form.locator('[name=name]').fill('Kept nowhere either');
    await form.locator('button[type=submit]').click();
    const text = page.getByText(/^\s*tga_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\s*$/).first();
    shown.push((await text.textContent()).trim());
  });
  await step('no script keeps anything of it', async () => {
    const kept = await page.evaluate(async () => {
      const databases = await indexedDB.databases();
      const caches = await globalThis.caches?.keys();
      return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, databases, caches, document.cookie]);
    });
    shown.forEach((secret) => assert.ok(!kept.includes(secret.slice(-20)), kept));
  });
  await step('what a page keeps is written', async () => {
    await page.evaluate((planted) => localStorage.setItem('planted', planted), given.planted);
    await eventually('it is there', () => page.evaluate(() => localStorage.getItem('planted') !== null));
  });
  // The last page stays open, as people leave it.
  await context.close();
  console.log(JSON.stringify(shown));
});
