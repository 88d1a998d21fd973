// What strangers get: another account's pages do not exist, another site's forms are refused.

import { createServer } from 'node:http';
import { script, visitor, signIn, step, each, customer, member, key, api, given, assert } from './lib.mjs';

/** Every page of an account, with `{key}` for one of its keys. */
const PAGES = [
  'keys',
  'keys/new',
  'keys/{key}/edit',
  'keys/{key}/revoke',
  'keys/{key}/rotate',
  'keys/{key}/disable',
  'usage',
  'models',
  'members',
  'activity',
];
const OPERATOR_PAGES = ['accounts', 'plans', 'models', 'upstreams', 'users', 'usage', 'audit', 'nodes', 'webhooks'];

await script(async () => {
  const [ann, eve] = [await customer('acme'), await customer('evil')];
  const [hers, own] = [await key('acme'), await key('evil')];
  const person = await visitor();
  await signIn(person, await eve.link());
  const status = async (path) => (await person.page.goto(path)).status();

  await step("another account's pages are not there", async () => {
    for (const page of PAGES) {
      const path = page.replace('{key}', hers.id);
      assert.equal(await status(`/a/acme/${path}`), 404, path);
      assert.equal(await status(`/a/not-there/${path}`), 404, path);
      // Another account's key under one's own account.
      if (page.includes('{key}')) {
        assert.equal(await status(`/a/evil/${path}`), 404, path);
      }
    }
  });
  await step("one's own pages are", async () => {
    for (const page of PAGES) {
      const path = page.replace('{key}', own.id);
      assert.equal(await status(`/a/evil/${path}`), 200, path);
    }
  });
  await step("the operator's pages are not a customer's", async () => {
    for (const page of OPERATOR_PAGES) {
      const found = await status(`/operator/${page}`);
      assert.ok([403, 404].includes(found), `${page}: ${found}`);
    }
  });
  await step('a viewer sees keys and changes none', async () => {
    const viewer = await visitor();
    await signIn(viewer, await (await member('acme', 'viewer')).link());
    assert.equal((await viewer.page.goto('/a/acme/keys')).status(), 200);
    for (const path of [`keys/new`, `keys/${hers.id}/edit`, `keys/${hers.id}/revoke`]) {
      assert.equal((await viewer.page.goto(`/a/acme/${path}`)).status(), 403, path);
    }
    await viewer.context.close();
  });

  // Another port of the same host is another origin of the same site: cookies go with it, so that only the check is left.
  const attacker = createServer((request, response) => {
    const to = new URL(request.url, 'http://attacker').searchParams.get('to');
    response.setHeader('content-type', 'text/html');
    response.end(`<form method="post" action="${given.url}${to}"><input name="name" value="x"><button>Win</button></form>`);
  });
  await new Promise((resolve) => attacker.listen(0, '127.0.0.1', resolve));
  person.leaves = (url) => url.startsWith(`http://127.0.0.1:${attacker.address().port}/`);
  await step("another site's forms are refused, and change nothing", async () => {
    const before = await api('GET', 'keys?account=evil');
    const forms = ['keys/new', ...['edit', 'revoke', 'rotate', 'disable'].map((task) => `keys/${own.id}/${task}`)];
    for (const to of [...forms.map((form) => `/a/evil/${form}`), '/preferences', '/sign-out']) {
      await person.page.goto(`http://127.0.0.1:${attacker.address().port}/?to=${encodeURIComponent(to)}`);
      const answer = person.page.waitForResponse((response) => response.url() === given.url + to);
      await person.page.getByRole('button').click();
      assert.equal((await answer).status(), 403, to);
    }
    assert.deepEqual(await api('GET', 'keys?account=evil'), before);
    assert.equal(await status('/a/evil/keys'), 200, 'still signed in');
  });
  attacker.close();
});
