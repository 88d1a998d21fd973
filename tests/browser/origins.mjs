// Web pages with a key in them: refused and counted, unless the key allows their origin by name; then all of it works, also
// with the official `openai` package inside the page.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { script, visitor, signIn, inspect, step, customer, key, api, given, eventually, assert } from './lib.mjs';
import { sheet, act } from './pages.mjs';
import { words } from './words.mjs';

const SDK = dirname(createRequire(import.meta.url).resolve('openai'));
const w = words.en;

await script(async () => {
  const ann = await customer('acme');
  const [home, elsewhere] = [await site(), await site()];
  const person = await visitor();
  person.leaves = (url) => [home, elsewhere].some(({ origin }) => url.startsWith(`${origin}/`));
  await signIn(person, await ann.link());
  const { id, key: text } = await key('acme', { name: 'In a page' });
  const exposure = async () => (await api('GET', `keys/${id}`)).exposure;

  await step('a page elsewhere may not even send the key', async () => {
    assert.deepEqual(await from(person, home.origin, ask, text), { failed: 'TypeError' });
    assert.deepEqual(await exposure(), { browser_requests: 0, last_at: null, last_origin: null });
  });
  await step('a page of the same host is refused, and counted at the key', async () => {
    for (const stream of [false, true]) {
      const answer = await from(person, given.url, ask, text, { stream });
      assert.deepEqual([answer.status, answer.code], [403, 'browser_use_refused']);
    }
    assert.equal((await from(person, given.url, list, text)).status, 403, 'browsers say no origin there');
    await eventually('counted', async () => (await exposure()).browser_requests === 3);
    assert.equal((await exposure()).last_origin, given.url);
  });
  await step('the owner is told, with what to do', async () => {
    await person.page.goto('/a/acme/keys');
    await person.page.getByText('Used from a browser 3 times').waitFor();
    await inspect(person, 'keys-exposed');
    await person.page.getByRole('link', { name: 'In a page', exact: true }).click();
    await person.page.getByText('rotate it').first().waitFor();
    await person.page.getByText(given.url, { exact: true }).first().waitFor();
    await inspect(person, 'key-exposed');
  });
  await step('a key that allows the page does not help another key', async () => {
    const other = await key('acme', { name: 'Meant for a page', allowed_origins: [home.origin] });
    assert.equal((await from(person, home.origin, ask, other.key)).status, 200);
    assert.deepEqual(await from(person, home.origin, ask, text), { failed: 'TypeError' }, 'sent, refused, not to be read');
    await eventually('counted', async () => (await exposure()).browser_requests === 4);
    assert.equal((await exposure()).last_origin, home.origin);
    await api('POST', `keys/${other.id}/revoke`);
    // The browser remembers for two hours that it may send, and the page that the key allowed is told why no more.
    const dead = await from(person, home.origin, ask, other.key);
    assert.deepEqual([dead.status, dead.code], [401, 'api_key_revoked']);
  });
  await step('its owner names the page in the console', async () => {
    await person.page.goto('/a/acme/keys');
    await act(person, w, 'In a page', 'Edit');
    await sheet(person).getByText('More options').click();
    const field = sheet(person).getByLabel('Web pages that may use it');
    await field.fill(`${home.origin}/app`);
    await sheet(person).getByRole('button', { name: 'Save' }).click();
    await sheet(person).getByText('One of these is no origin').waitFor();
    await inspect(person, 'key-origin-wrong');
    await sheet(person).getByLabel('Web pages that may use it').fill(home.origin);
    await sheet(person).getByRole('button', { name: 'Save' }).click();
    await person.page.getByRole('status').filter({ hasText: 'Saved' }).first().waitFor();
    assert.deepEqual((await api('GET', `keys/${id}`)).allowed_origins, [home.origin]);
  });
  await step('then that page reads answers, errors and headers, and no other page does', async () => {
    const answer = await from(person, home.origin, ask, text);
    assert.deepEqual([answer.status, answer.text], [200, 'Hello there.']);
    assert.match(answer.requestId, /^req_/, 'browsers show it to the page');
    const stream = await from(person, home.origin, ask, text, { stream: true });
    assert.match(stream.body, /data: \[DONE\]\n\n$/);
    const wrong = await from(person, home.origin, ask, text, { model: 'no-such-model' });
    assert.deepEqual([wrong.status, wrong.code], [404, 'model_not_found']);
    assert.equal((await from(person, home.origin, list, text)).status, 200);
    // The browser asked before for that page and remembers the yes, or asks now and hears no: either way it reads nothing.
    assert.deepEqual(await from(person, elsewhere.origin, ask, text), { failed: 'TypeError' });
  });
  await step('so does the official package in that page', async () => {
    const said = await from(person, home.origin, sdk, text);
    assert.deepEqual(said, { whole: 'Hello there.', streamed: true, models: true, refused: [404, 'model_not_found', true] });
  });
  await step('taken away again, the page is refused at once', async () => {
    const edited = await api('PATCH', `keys/${id}`, { allowed_origins: [] });
    assert.ok(edited.effective.nodes.length === 1, JSON.stringify(edited.effective));
    assert.deepEqual(await from(person, home.origin, ask, text), { failed: 'TypeError' });
  });
  await step('a new text is a new beginning', async () => {
    await api('POST', `keys/${id}/rotate`, {});
    await eventually('no sign is left', async () => (await exposure()).browser_requests === 0);
  });
  await Promise.all([home, elsewhere].map(({ server }) => server.close()));
});

/** A site with one page, and the package's own files under `/sdk/`. */
async function site() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    if (!pathname.startsWith('/sdk/')) {
      response.setHeader('content-type', 'text/html');
      return response.end('<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><h1>A page</h1>');
    }
    const file = join(SDK, normalize(pathname.slice('/sdk'.length)));
    response.setHeader('content-type', 'text/javascript');
    const text = file.startsWith(SDK) && (await readFile(file).catch(() => undefined));
    return text ? response.end(text) : response.writeHead(404).end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

/** Runs a function in a page of this origin. What the browser itself says of refused requests is no fault of a page. */
async function from(person, origin, body, key, more = {}) {
  const page = await person.context.newPage();
  person.paused += 1;
  try {
    await page.goto(origin === given.url ? '/sign-in' : `${origin}/`);
    return await page.evaluate(body, { url: given.url, key, more });
  } finally {
    await page.close();
    person.paused -= 1;
  }
}

/** In a page: asks for a chat. */
async function ask({ url, key, more }) {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'x-stainless-lang': 'js' },
      body: JSON.stringify({ model: 'chat-a', messages: [{ role: 'user', content: 'Hello?' }], ...more }),
    });
    const body = await response.text();
    const json = more.stream && response.ok ? {} : JSON.parse(body);
    const text = json.choices?.[0]?.message?.content;
    return { status: response.status, code: json.error?.code, text, body, requestId: response.headers.get('x-request-id') };
  } catch (error) {
    return { failed: error.name };
  }
}

/** In a page: reads the list of models. */
async function list({ url, key }) {
  const response = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  return { status: response.status };
}

/** In a page: the same through the official package. */
async function sdk({ url, key }) {
  const { default: OpenAI } = await import('/sdk/index.mjs');
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, dangerouslyAllowBrowser: true, maxRetries: 0 });
  const messages = [{ role: 'user', content: 'Hello?' }];
  const whole = await client.chat.completions.create({ model: 'chat-a', messages });
  let pieces = 0;
  for await (const chunk of await client.chat.completions.create({ model: 'chat-a', messages, stream: true })) {
    pieces += chunk.choices.length;
  }
  const models = [];
  for await (const model of client.models.list()) {
    models.push(model.id);
  }
  const refused = await client.chat.completions.create({ model: 'no-such', messages }).catch((error) => error);
  return {
    whole: whole.choices[0].message.content,
    streamed: pieces > 1,
    models: models.includes('chat-a'),
    refused: [refused.status, refused.code, Boolean(refused.requestID)],
  };
}
