// The smallest script: signed out, signed in by a one-time link, signed out again.

import { script, visitor, signIn, inspect, step, customer } from './lib.mjs';

await script(async () => {
  const person = await visitor();
  await step('the start page without a session', async () => {
    await person.page.goto('/');
    await inspect(person, 'signed-out');
  });
  await step('signing in by a one-time link', async () => {
    await signIn(person, await (await customer("acme")).link());
    await inspect(person, 'home');
  });
});
