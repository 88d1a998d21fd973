// What lib.mjs watches for is seen: a page that does everything wrong, served in the place of a real one.

import { script, visitor, step, axe, fitsItsWidth, focusShows, takeProblems, assert } from './lib.mjs';

const BAD = `<!doctype html><html lang="en"><head><title>Bad</title><style nonce="x">
  button:focus { outline: none } p { color: #ccc; background: #fff } div { width: 3000px }
</style></head><body><main><h1>Bad</h1><p>Hardly to be read</p><div>wide</div><button>Press</button>
<img alt="" src="https://elsewhere.invalid/pixel.png"><img alt="" src="/not-there.png">
<script>alert('inline')</script><script nonce="x">throw new Error('failed on purpose')</script></main></body></html>`;

await script(async () => {
  const person = await visitor();
  await person.context.route('**/bad', (route) =>
    route.fulfill({
      contentType: 'text/html',
      headers: { 'content-security-policy': "default-src 'none'; style-src 'nonce-x'; script-src 'nonce-x'; img-src *" },
      body: BAD,
    }),
  );
  await person.context.route('**/pixel.png', (route) => route.abort());
  await person.page.goto('/bad');
  await axe(person);
  await assert.rejects(fitsItsWidth(person.page), /wide on a screen/);
  await person.page.getByRole('button').focus();
  await assert.rejects(focusShows(person.page), /the focus cannot be seen/);
  const seen = takeProblems().join('\n');
  for (const problem of [
    /asked another origin: https:\/\/elsewhere/,
    /console: .*Content Security Policy/,
    /a script failed: Error: failed on purpose/,
    /404 for .*not-there\.png/,
    /color-contrast/,
  ]) {
    await step(`${problem} is seen`, async () => assert.match(seen, problem));
  }
});
