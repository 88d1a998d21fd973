// The smallest script: signed out, signed in by a one-time link, signed out again.

import { script, visitor, signIn, inspect, step, given } from './lib.mjs';

await script(async () => {
  const person = await visitor();
  await step('the start page without a session', async () => {
    await person.page.goto('/');
    await inspect(person, 'signed-out');
  });
  await step('signing in by a one-time link', async () => {
    await signIn(person, given.links[0]);
    await inspect(person, 'home');
  });
});
