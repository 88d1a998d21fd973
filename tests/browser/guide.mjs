// The guide that customers are given, word by word: view, create, edit, revoke, usage. In both languages and themes, on a
// phone and at a desk, with and without JavaScript; each time by a customer of their own, whose figures are compared with
// the upstream's own count.

import { script, visitor, signIn, inspect, step, each, customer, chat, ledger, eventually, assert } from './lib.mjs';
import { words } from './words.mjs';

/** How many go through the guide at once: as many as there are cores. */
const AT_ONCE = 2;
const MODELS = ['chat-a', 'chat-b'];

const everyWay = ['en', 'vi'].flatMap((lang) =>
  ['light', 'dark'].flatMap((theme) =>
    [1440, 390].flatMap((width) =>
      [true, false].map((js) => ({ lang, theme, width, js, name: `${lang}-${theme}-${width}${js ? '' : '-nojs'}` })),
    ),
  ),
);

await script(async () => {
  await each(everyWay, AT_ONCE, async (way) => {
    const person = await visitor(way);
    const { page } = person;
    const w = words[way.lang];
    const owner = await customer(way.name);
    await signIn(person, await owner.link());

    await step('View', () => view(person, w));
    const key = await step('Create', () => create(person, w));
    await use(key, way.name);
    await step('Edit', () => edit(person, w));
    await step('Revoke', () => revoke(person, w, key));
    await step('Usage', () => usage(person, w, way.name));
    await person.context.close();
  });
});

/** The part of the page that a task is in: a dialog where the script runs, a page of its own where it does not. */
function sheet(person) {
  return person.js ? person.page.getByRole('dialog') : person.page.locator('#sheet');
}

/** Click the account icon on the header → My Account → the list on My API Keys. */
async function view(person, w) {
  const { page } = person;
  await page.goto('/');
  await page.getByRole('banner').getByRole('button', { name: w.accountIcon }).click();
  await page.getByRole('link', { name: w.myAccount, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: w.myKeys }).waitFor();
}
