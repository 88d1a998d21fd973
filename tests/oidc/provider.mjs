// A certified OpenID Connect provider for the tests: PKCE required, a few people with groups, a login form of its own.
// Prints one JSON line when it listens: {"issuer"}. Ends with its standard input.
//
// POST /tests/people {"sub", …} sets a person's claims; what the provider says of them next is what was set last.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';

// The packages of the browser tests: this directory has none of its own.
const require = createRequire(new URL('../browser/package.json', import.meta.url));
const { default: Provider } = await import(require.resolve('oidc-provider'));

const people = new Map([
  ['minh', { email: 'minh@example.com', email_verified: true, name: 'Minh', groups: ['members'] }],
  ['anh', { email: 'anh@example.com', email_verified: true, name: 'Ánh', groups: ['owners', 'operators'] }],
  ['lan', { email: 'lan@example.com', email_verified: false, name: 'Lan', groups: [] }],
]);

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'tollgate',
    client_secret: 'a-client-secret-of-the-tests',
    // A native client may come back to any port of this machine (RFC 8252, 7.3).
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/sign-in/oidc/callback'],
    response_types: ['code'],
    grant_types: ['authorization_code'],
  }],
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['the tests'] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => people.has(id) && { accountId: id, claims: () => ({ sub: id, ...people.get(id) }) },
});

const read = async (request) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
};

// One form for both questions: who are you, and may this client know?
async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html');
    return response.end(`<form method="post"><label>Who? <input name="login"></label><button>${prompt.name}</button></form>`);
  }
  const fields = new URLSearchParams(await read(request));
  if (fields.get('login') === 'nobody') {
    const refusal = { error: 'access_denied', error_description: 'cancelled' };
    return provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false });
  }
  if (prompt.name === 'login') {
    const login = { login: { accountId: fields.get('login') } };
    return provider.interactionFinished(request, response, login, { mergeWithLastSubmission: false });
  }
  const known = grantId ? await provider.Grant.find(grantId) : undefined;
  const grant = known ?? new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, response, consent, { mergeWithLastSubmission: true });
}

const callback = provider.callback();
server.on('request', async (request, response) => {
  try {
    if (request.url.startsWith('/interaction/')) return await interact(request, response);
    if (request.url === '/tests/people' && request.method === 'POST') {
      const { sub, ...claims } = JSON.parse(await read(request));
      people.set(sub, claims);
      return response.writeHead(204).end();
    }
    return callback(request, response);
  } catch (error) {
    console.error(error);
    return response.writeHead(500).end();
  }
});

console.log(JSON.stringify({ issuer }));
process.stdin.resume().on('end', () => process.exit(0)).on('error', () => process.exit(0));
