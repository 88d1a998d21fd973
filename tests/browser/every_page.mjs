// Every page there is, found by following links: it answers, fits its width, breaks no policy, and axe-core finds no
// violation of WCAG 2.2 AA. Seen in both languages and themes, on a phone and at a desk. Pictures are kept of each.

import { script, visitor, signIn, inspect, step, each, customer, member, key, api, chat, eventually, given, assert } from './lib.mjs';

/** How many pages of one kind are looked at. */
const OF_A_KIND = 2;
/** How many of the documentation: all of them, once. */
const OF_DOCS = 100;
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
  '/docs',
  '/docs/{}',
  '/operator/accounts',
  '/operator/plans',
  '/operator/models',
  '/operator/upstreams',
  '/operator/users',
  '/operator/usage',
  '/operator/audit',
  '/operator/nodes',
];
/** The other looks that the first page of each kind is given: both themes, at each of these widths. */
const looks = (own, widths, pictures = []) =>
  ['light', 'dark'].flatMap((theme) =>
    widths.map((width) => ({ theme, width, picture: pictures.includes(`${theme}-${width}`) })),
  ).filter(({ theme, width }) => `${theme}-${width}` !== own);
/** Pages that no link leads to: where nothing is, where nothing fits, where the question is wrong. */
const BESIDE = [
  ['not-found', 404, '/there/is/no/such/page'],
  ['sign-in-link-bad', 404, '/sign-in/nonsense'],
  ['empty-keys', 200, '/a/planless/keys'],
  ['empty-usage', 200, '/a/planless/usage'],
  ['empty-usage-range', 200, '/a/default/usage?range=custom&from=2020-01-01&to=2020-01-02'],
  ['wrong-usage', 400, '/a/default/usage?range=custom&from=2020-13-01&to=x&tz=Nowhere'],
  ['empty-activity', 200, '/a/default/activity?subject=nothing'],
  ['empty-accounts', 200, '/operator/accounts?search=nothing'],
  ['empty-users', 200, '/operator/users?search=nothing'],
  ['docs-no-page', 404, '/docs/customers/api-key'],
  ['docs-answer', 200, '/docs/customers/api-keys?ask=how+can+I+revoke+an+API+key%3F'],
  ['docs-silent', 200, '/docs/customers/api-keys?ask=how+do+I+fine-tune+a+model%3F'],
  ['docs-question-wrong', 400, '/docs/customers/api-keys?ask=%3F'],
  ['docs-found', 200, '/docs/search?q=key'],
  ['docs-found-nothing', 200, '/docs/search?q=zzzzqqqq'],
  ['wrong-audit', 400, '/operator/audit?account=nothing&from=yesterday'],
];
/** Between them: both languages, each in both themes on a phone and at a desk, and each without the script; a tablet once. */
const WAYS = [
  { lang: 'en', theme: 'light', width: 1440, js: true, looks: looks('light-1440', [390, 768, 1440], ['light-768']) },
  { lang: 'en', theme: 'light', width: 390, js: false, looks: [] },
  { lang: 'vi', theme: 'dark', width: 390, js: true, looks: looks('dark-390', [390, 1440]) },
  { lang: 'vi', theme: 'dark', width: 1440, js: false, looks: [] },
].map((way) => ({ ...way, name: `${way.lang}-${way.theme}-${way.width}${way.js ? '' : '-nojs'}` }));

await script(async () => {
  const olga = await step('a deployment with something of everything', furnish);
  await each(WAYS, 2, async (way) => {
    const person = await visitor(way);
    person.looks = way.looks;
    person.all = way === WAYS[0];
    await signIn(person, await olga.link());
    const seen = await crawl(person);
    const missing = MUST_SEE.filter((kind) => !seen.has(kind));
    assert.deepEqual(missing, [], `not come by, of ${[...seen.keys()].join(' ')}`);
    for (const [name, status, path] of BESIDE) {
      assert.equal((await person.page.goto(path)).status(), status, path);
      await inspect(person, name, way);
    }
    await person.context.clearCookies();
    await person.page.goto('/sign-in');
    await inspect(person, 'sign-in', way);
    await documentation(person, way);
    await person.context.close();
  });
});

/** The documentation as somebody reads it who is not signed in: it finds as one types, and answers. */
async function documentation(person, way) {
  const { page } = person;
  await page.goto('/docs/customers/quickstart');
  await inspect(person, 'docs-stranger', way);
  const ask = page.locator('#ask');
  await ask.fill(way.lang === 'vi' ? 'quên mật khẩu thì làm thế nào' : 'how can I revoke an API key?');
  await ask.press('Enter');
  await page.locator('#answer .sources a').first().waitFor();
  await inspect(person, 'docs-asked', way);
  if (person.js) {
    await page.locator('#docs-q').pressSequentially(way.lang === 'vi' ? 'mat kh' : 'rotat');
    await page.locator('#docs-found a').first().waitFor();
    await inspect(person, 'docs-typed', way);
    // What was found is there while one is in the field.
    await page.locator('#docs-q').focus();
    await page.locator('#docs-found a').first().click();
    await page.waitForURL(/\/docs\/customers\/.+#/);
  } else {
    await page.locator('#docs-q').fill('rotate');
    await page.locator('#docs-q').press('Enter');
    await page.waitForURL(/\/docs\/search\?q=rotate/);
    await page.locator('#docs-found a').first().waitFor();
  }
}

/** Follows every link of ours; returns the kinds of pages with how many were seen. */
async function crawl(person) {
  const { page } = person;
  const seen = new Map();
  const broken = [];
  const opened = new Set();
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
      const name = `page-${kind.slice(1).replaceAll('/', '-').replaceAll('{}', 'x') || 'home'}${nth > 1 ? `-${nth}` : ''}`;
      await inspect(person, name, { looks: nth > 1 ? [] : person.looks });
      if (person.js && nth === 1) {
        await dialogs(person, opened);
      }
    });
    const links = await page.evaluate(() => [...document.querySelectorAll('a[href]:not([download])')].map((a) => a.href));
    for (const link of links) {
      const url = new URL(link);
      const kind = kindOf(url.pathname);
      const queued = waiting.filter((other) => kindOf(new URL(other, given.url).pathname) === kind).length;
      const fresh = url.origin === given.url && !known.has(url.pathname) && !/\.(csv|json|md|png)$|^\/api\b/.test(url.pathname);
      if (fresh && (seen.get(kind) ?? 0) + queued < (kind === '/docs/{}' && person.all ? OF_DOCS : OF_A_KIND)) {
        known.add(url.pathname);
        waiting.push(url.pathname + url.search);
      }
    }
  }
  assert.deepEqual(broken, [], 'every link leads to a page');
  return seen;
}

/** Opens each kind of dialog that the page has, looks at it as it stands over the page, and leaves it. */
async function dialogs(person, opened) {
  const { page } = person;
  const links = await page.locator('a[data-dialog]').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
  for (const href of links) {
    const kind = kindOf(href.split('?')[0]);
    if (opened.has(kind)) {
      continue;
    }
    opened.add(kind);
    await step(`the dialog ${kind}`, async () => {
      // A link in a menu is reached through its button.
      const link = page.locator(`a[data-dialog][href="${href}"]`).first();
      const menu = await link.evaluate((a) => a.closest('[popover]')?.id);
      if (menu) {
        await page.locator(`[popovertarget="${menu}"]`).click();
      }
      await link.click();
      await page.getByRole('dialog').waitFor();
      await inspect(person, `dialog-${kind.slice(1).replaceAll('/', '-').replaceAll('{}', 'x')}`, { looks: person.looks });
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
    });
  }
}

/** A page's address without what is particular to one thing. */
function kindOf(path) {
  return path
    .replace(/^\/a\/[^/]+/, '/a/{}')
    .replace(/\/[a-z]+_[0-9a-f-]{20,}/g, '/{}')
    .replace(/^(\/a\/{}\/models)\/[^/]+/, '$1/{}')
    .replace(/^\/docs\/.+/, '/docs/{}')
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
  const over = await key('default', { name: 'Over', expires_at: new Date(Date.now() + 1_000).toISOString() });
  await api('POST', `keys/${made.disabled.id}/disable`);
  await api('POST', `keys/${made.revoked.id}/revoke`);
  await eventually('a key has expired', async () => (await api('GET', `keys/${over.id}`)).status === 'expired');
  await eventually('usage is counted', async () => (await api('GET', 'usage?bucket=total')).data[0]?.requests >= 3);
  return { link: async () => (await api('POST', `users/${olga.id}/sign-in-links`)).url, acme };
}
