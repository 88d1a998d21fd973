// A deployment where nothing is yet: each empty page says what comes first, and leads there.

import { script, visitor, signIn, inspect, step, each, api, assert } from './lib.mjs';
import { sheet } from './pages.mjs';

/** Where one begins, what is said there, and where it leads. */
const FIRST = [
  ['/operator/upstreams', 'Requests need a server to go to. Add the first one.', 'Add upstream'],
  ['/operator/models', 'Customers need a model to call. Add the first one.', 'Add model'],
  ['/a/default/keys', 'Create one, copy it into your program', 'Create New API Key'],
];
/** Pages where an operator has nothing to add. */
const BARE = ['/a/default/models', '/a/default/usage', '/operator/usage'];

await script(async () => {
  const user = await api('POST', 'users', { name: 'Olga', operator: true });
  const ways = [{ js: true, width: 390 }, { js: false, width: 1440 }];
  await each(ways.map((way) => ({ ...way, name: way.js ? 'with JavaScript' : 'without JavaScript' })), 2, async (way) => {
    const olga = await visitor({ ...way, theme: way.js ? 'dark' : 'light' });
    await signIn(olga, (await api('POST', `users/${user.id}/sign-in-links`)).url);
    for (const [path, said, button] of FIRST) {
      await step(path, async () => {
        await olga.page.goto(path);
        await olga.page.getByText(said).waitFor();
        const name = path.slice(1).replaceAll('/', '-');
        await inspect(olga, `bare-${name}`);
        await olga.page.getByRole('link', { name: button }).first().click();
        // A form that has a page of its own is no dialog.
        const form = path.endsWith('/models') ? olga.page.locator('#sheet') : sheet(olga);
        await form.getByRole('heading', { name: button }).waitFor();
        await inspect(olga, `bare-${name}-new`);
      });
    }
    for (const path of BARE) {
      await step(path, async () => {
        assert.equal((await olga.page.goto(path)).status(), 200);
        await olga.page.locator('.empty h2').waitFor();
        await inspect(olga, `bare-${path.slice(1).replaceAll('/', '-')}`);
      });
    }
    await olga.context.close();
  });
});
