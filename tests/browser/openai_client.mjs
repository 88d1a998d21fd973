// The official `openai` package for Node.js, unmodified, against a running server. Reads `{base_url, key, revoked}` from
// its input; each check throws; the last line is `ok`.

import { text } from 'node:stream/consumers';
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const given = JSON.parse(await text(process.stdin));
const client = (apiKey, more) => new OpenAI({ baseURL: given.base_url, apiKey, maxRetries: 0, timeout: 30_000, ...more });
const good = client(given.key);
const messages = [{ role: 'user', content: 'Hello?' }];

const { data, response, request_id: id } = await good.chat.completions.create({ model: 'chat-a', messages }).withResponse();
assert.equal(data.choices[0].message.content, 'Hello there.');
assert.equal(data.usage.total_tokens, 12);
assert.match(id, /^req_/);
assert.equal(response.headers.get('access-control-allow-origin'), null, 'this is no browser');

const chunks = [];
for await (const chunk of await good.chat.completions.create({ model: 'chat-a', messages, stream: true })) {
  chunks.push(chunk);
}
assert.equal(chunks.length, 5);
assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');

// Leaving a stream early hangs up.
for await (const chunk of await good.chat.completions.create({ model: 'chat-a', messages, stream: true })) {
  assert.ok(chunk.id);
  break;
}

const embedded = await good.embeddings.create({ model: 'embed-a', input: 'x', encoding_format: 'float' });
assert.ok(embedded.data[0].embedding.length > 0);

const models = [];
for await (const model of good.models.list()) {
  models.push(model.id);
}
assert.deepEqual(models, ['chat-a', 'embed-a']);

for (const [kind, status, code, call] of [
  [OpenAI.AuthenticationError, 401, 'invalid_api_key', () => client('nonsense').models.list()],
  [OpenAI.AuthenticationError, 401, 'api_key_revoked', () => client(given.revoked).models.list()],
  [OpenAI.PermissionDeniedError, 403, 'model_not_permitted', () => good.chat.completions.create({ model: 'chat-b', messages })],
  [OpenAI.NotFoundError, 404, 'model_not_found', () => good.chat.completions.create({ model: 'no-such', messages })],
  // What the package sends from a page, were it run in one.
  [OpenAI.PermissionDeniedError, 403, 'browser_use_refused', () => client(given.key, { defaultHeaders: { origin: 'https://app.example.com' } }).models.list()],
]) {
  await assert.rejects(async () => await call(), (error) => {
    assert.ok(error instanceof kind, `${error}`);
    assert.deepEqual([error.status, error.code], [status, code]);
    assert.match(error.requestID, /^req_/);
    assert.ok(!error.message.includes(given.key), 'a key in a message');
    return true;
  });
}
console.log('ok');
