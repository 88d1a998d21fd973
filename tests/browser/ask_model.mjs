// A question on a page of the documentation that a model answers: its lines come as they are written, with the places where
// they stand, and without JavaScript the page comes with all of them.

import { script, visitor, inspect, step, assert } from './lib.mjs';

await script(async () => {
  for (const js of [true, false]) {
    await step(js ? 'with JavaScript' : 'without JavaScript', async () => {
      const person = await visitor({ js });
      const { page } = person;
      await page.goto('/docs/customers/api-keys');
      await page.getByLabel('Your question').fill('how can I revoke an API key?');
      await page.getByRole('button', { name: 'Ask', exact: true }).click();
      const answer = page.locator('#answer');
      await answer.getByText('Click Action, then Revoke, read what will break').waitFor();
      await answer.getByText('Written by the model chat-a').waitFor();
      assert.equal(new URL(page.url()).searchParams.has('ask'), !js, 'the script stays on the page');
      const place = answer.getByRole('link', { name: '[1]' });
      assert.match(await place.getAttribute('href'), /^\/docs\//);
      assert.ok((await answer.locator('.sources li').count()) > 0);
      assert.equal(await answer.getByRole('heading', { name: 'Answer' }).count(), 1, 'the lines stand once');
      await inspect(person, 'docs-answer-of-a-model');
      await place.click();
      await page.getByRole('heading', { level: 1 }).waitFor();
      await person.context.close();
    });
  }
});
