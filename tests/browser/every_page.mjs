// Every page there is, found by following links: it answers, fits its width, breaks no policy, and axe-core finds no
// violation of WCAG 2.2 AA. Seen in both languages and themes, on a phone and at a desk. Pictures are kept of each.

import { script, visitor, signIn, inspect, step, each, customer, member, key, api, chat, eventually, given, assert } from './lib.mjs';

/** How many pages of one kind are looked at. */
const OF_A_KIND = 2;
/** More kinds than these there are not; a crawl that runs away ends. */
const MOST_PAGES = 300;
/** Pages that the crawl must have come by: one that finds nothing has tested nothing. */
const MUST_SEE = [
  '/a/{}/keys',
  '/a/{}/keys/new',
  '/a/{}/keys/{}',
  '/a/{}/keys/{}/edit',
  '/a/{}/keys/{}/rotate',
  '/a/{}/keys/{}/disable',
  '/a/{}/keys/{}/enable',
  '/a/{}/keys/{}/revoke',
  '/a/{}/usage',
  '/a/{}/models',
  '/a/{}/models/{}',
  '/a/{}/members',
  '/a/{}/activity',
  '/a/{}/webhooks',
  '/me',
  '/operator/accounts',
  '/operator/plans',
  '/operator/models',
  '/operator/upstreams',
  '/operator/users',
  '/operator/usage',
  '/operator/audit',
  '/operator/nodes',
];
const WAYS = [
  { name: 'en-light-1440', lang: 'en', theme: 'light', width: 1440, js: true },
  { name: 'vi-dark-390', lang: 'vi', theme: 'dark', width: 390, js: true },
];

await script(async () => {
  const olga = await step('a deployment with something of everything', furnish);
  await each(WAYS, 2, async (way) => {
    const person = await visitor(way);
    await signIn(person, await olga.link());
    const seen = await crawl(person);
    const missing = MUST_SEE.filter((kind) => !seen.has(kind));
    assert.deepEqual(missing, [], `not come by, of ${[...seen.keys()].join(' ')}`);
    for (const [name, path] of [['not-found', '/there/is/no/such/page'], ['sign-in-link-bad', '/sign-in/nonsense']]) {
      assert.equal((await person.page.goto(path)).status(), 404);
      await inspect(person, name);
    }
    await person.context.clearCookies();
    await person.page.goto('/sign-in');
    await inspect(person, 'sign-in');
    await person.context.close();
  });
  await step('every page without JavaScript', async () => {
    const person = await visitor({ js: false, width: 390 });
    await signIn(person, await olga.link());
    const seen = await crawl(person);
    assert.deepEqual(MUST_SEE.filter((kind) => !seen.has(kind)), []);
    await person.context.close();
  });
});

/** Follows every link of ours; returns the kinds of pages with how many were seen. */
async function crawl(person) {
  const { page } = person;
  const seen = new Map();
  const broken = [];
  const waiting = ['/', '/a/default/keys', '/me', '/operator/accounts'];
  const known = new Set(waiting);
  for (let visited = 0; waiting.length > 0; visited += 1) {
    assert.ok(visited < MOST_PAGES, `more than ${MOST_PAGES} pages: ${[...seen.keys()].join(' ')}`);
    const path = waiting.shift();
    await step(path, async () => {
      const answer = await page.goto(path);
      if (answer.status() !== 200) {
        broken.push(`${path}: ${answer.status()}`);
      }
      const kind = kindOf(new URL(page.url()).pathname);
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      const nth = seen.get(kind);
      await page.locator('h1').first().waitFor();
      await inspect(person, `page-${kind.slice(1).replaceAll('/', '-').replaceAll('{}', 'x') || 'home'}${nth > 1 ? `-${nth}` : ''}`);
    });
    const links = await page.evaluate(() => [...document.querySelectorAll('a[href]:not([download])')].map((a) => a.href));
    for (const link of links) {
      const url = new URL(link);
      const kind = kindOf(url.pathname);
      const queued = waiting.filter((other) => kindOf(new URL(other, given.url).pathname) === kind).length;
      const fresh = url.origin === given.url && !known.has(url.pathname) && !/\.(csv|json)$|^\/(docs|api)\b/.test(url.pathname);
      if (fresh && (seen.get(kind) ?? 0) + queued < OF_A_KIND) {
        known.add(url.pathname);
        waiting.push(url.pathname + url.search);
      }
    }
  }
  assert.deepEqual(broken, [], 'every link leads to a page');
  return seen;
}

/** A page's address without what is particular to one thing. */
function kindOf(path) {
  return path
    .replace(/^\/a\/[^/]+/, '/a/{}')
    .replace(/\/[a-z]+_[0-9a-f-]{20,}/g, '/{}')
    .replace(/^(\/a\/{}\/models)\/[^/]+/, '$1/{}')
    .replace(/^(\/operator\/[a-z]+)\/(?!new$)[^/]+/, '$1/{}');
}

async function furnish() {
  const acme = await customer('acme');
  await customer('planless', { paid: false });
  await member('default', 'viewer', 'Vera');
  const olga = await api('POST', 'users', {
    name: 'Olga Operator',
    email: 'olga@example.com',
    operator: true,
    memberships: [{ account: 'default', role: 'owner' }, { account: 'acme', role: 'owner' }],
  });
  const made = {};
  for (const name of ['active', 'disabled', 'revoked']) {
    made[name] = await key('default', { name: `A key that is ${name}`, models: ['chat-a', 'chat-b'], note: 'for the crawl' });
    assert.equal(await chat(made[name].key, 'chat-a'), 200);
  }
  await key('default', { name: 'Ends', models: 'all', expires_at: '2099-01-01T00:00:00Z' });
  await api('POST', `keys/${made.disabled.id}/disable`);
  await api('POST', `keys/${made.revoked.id}/revoke`);
  await eventually('usage is counted', async () => (await api('GET', 'usage?bucket=total')).data[0]?.requests >= 3);
  return { link: async () => (await api('POST', `users/${olga.id}/sign-in-links`)).url, acme };
}
