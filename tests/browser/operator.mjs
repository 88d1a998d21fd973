// The operator's part as an operator uses it: plans, accounts, upstreams, models, users, the log, nodes, usage by account.
// Each form is sent wrong first: the error stands beside its field, what was typed is kept. With and without JavaScript.

import { script, visitor, signIn, inspect, step, each, customer, key, api, chat, eventually, given, assert } from './lib.mjs';
import { sheet, send, refusedAt, saying, typed } from './pages.mjs';

/** Nothing listens there: the discard port. */
const NOBODY = 'http://127.0.0.1:9/v1';
/** The prices that each kind of model has, as they are labelled. */
const PRICES = {
  Chat: ['1M input tokens', '1M output tokens', '1M cached input tokens'],
  Embedding: ['1M input tokens'],
  Rerank: ['1M input tokens'],
  Transcription: ['1M input tokens', '1M output tokens', '1M seconds of audio'],
  Speech: ['1M input tokens', '1M seconds of audio'],
  Image: ['1M input tokens', '1M output tokens', '1M images'],
};

await script(async () => {
  const ways = [{ js: true, name: 'with JavaScript' }, { js: false, name: 'without JavaScript' }];
  await each(ways, 2, async ({ js }) => {
    const tag = js ? 'js' : 'plain';
    const user = await api('POST', 'users', { name: `Olga ${tag}`, email: `olga-${tag}@example.com`, operator: true });
    const olga = await visitor({ js, width: js ? 1440 : 390, theme: js ? 'light' : 'dark' });
    await signIn(olga, (await api('POST', `users/${user.id}/sign-in-links`)).url);
    await step('plans', () => plans(olga, tag));
    await step('accounts', () => accounts(olga, tag));
    await step('upstreams', () => upstreams(olga, tag));
    await step('models', () => models(olga, tag));
    await step('users', () => users(olga, tag));
    await step('the audit log', () => audit(olga, tag));
    await step('nodes', () => nodes(olga));
    await step('usage by account', () => usage(olga, tag));
    await olga.context.close();
  });
});

/** Opens a sheet by its link. */
async function open(person, link, scope = person.page) {
  await scope.getByRole('link', { name: link, exact: true }).first().click();
  await sheet(person).waitFor();
}
function field(person, label) {
  return sheet(person).getByLabel(label, { exact: true });
}
function row(person, name) {
  return person.page.locator('tbody tr').filter({ has: person.page.getByText(name, { exact: true }) });
}

async function plans(olga, tag) {
  await olga.page.goto('/operator/plans');
  await open(olga, 'Create plan');
  await field(olga, 'Code').fill('Not a code!');
  await field(olga, 'Name').fill(`Team <${tag}>`);
  await send(olga, 'Create plan');
  await refusedAt(olga, field(olga, 'Code'), /1 to 64 of a-z, 0-9 and -/);
  assert.deepEqual(await typed(sheet(olga)), { handle: 'Not a code!', name: `Team <${tag}>`, paid: true });
  await inspect(olga, 'operator-plan-wrong');
  await field(olga, 'Code').fill(`team-${tag}`);
  await send(olga, 'Create plan');
  await saying(olga, /Saved/);
  await row(olga, `Team <${tag}>`).getByText('Yes', { exact: true }).waitFor();

  await step('a code that is taken', async () => {
    await open(olga, 'Create plan');
    await field(olga, 'Code').fill(`team-${tag}`);
    await send(olga, 'Create plan');
    await refusedAt(olga, field(olga, 'Code'), /Another plan has this code/);
  });
  await step('edited, and removed', async () => {
    await api('POST', 'plans', { handle: `spare-${tag}`, name: `Spare ${tag}`, paid: false });
    await olga.page.goto('/operator/plans');
    await open(olga, `Edit Spare ${tag}`);
    await field(olga, 'Name').fill('');
    await send(olga, 'Save');
    await refusedAt(olga, field(olga, 'Name'), /1 to 200 characters/);
    await field(olga, 'Name').fill(`Spare no more ${tag}`);
    await send(olga, 'Save');
    await saying(olga, /Saved/);
    await open(olga, `Remove Spare no more ${tag}`);
    await send(olga, 'Remove');
    await saying(olga, /Saved/);
    assert.equal(await row(olga, `Spare no more ${tag}`).count(), 0);
  });
}

async function accounts(olga, tag) {
  const handle = `shop-${tag}`;
  await olga.page.goto('/operator/accounts');
  await open(olga, 'Create account');
  await field(olga, 'Handle').fill('Bad handle');
  await field(olga, 'Name').fill(`Shop "${tag}"`);
  await field(olga, 'Runs until (UTC)').fill('2020-01-31T12:00');
  await field(olga, 'First owner (optional)').fill(`owner@${handle}.example.com`);
  await send(olga, 'Create account');
  await refusedAt(olga, field(olga, 'Handle'), /begins with a letter or digit/);
  await refusedAt(olga, field(olga, 'Runs until (UTC)'), /This moment has passed|An end needs a plan/, { first: false });
  const kept = { handle: 'Bad handle', name: `Shop "${tag}"`, plan: '', until: '2020-01-31T12:00', owner: `owner@${handle}.example.com` };
  assert.deepEqual(await typed(sheet(olga)), kept);
  await inspect(olga, 'operator-account-wrong');
  await field(olga, 'Handle').fill(handle);
  await field(olga, 'Runs until (UTC)').fill('');
  await send(olga, 'Create account');
  await saying(olga, /Saved/);
  await olga.page.getByRole('heading', { level: 1, name: `Shop "${tag}"` }).waitFor();
  await olga.page.locator('.badge', { hasText: 'No plan' }).waitFor();
  await inspect(olga, 'operator-account-no-plan');

  await step('subscribed: a wrong end first', async () => {
    await open(olga, 'Subscribe to a plan');
    await field(olga, 'Plan').selectOption({ label: `Team <${tag}>` });
    await field(olga, 'Runs until (UTC)').fill('2020-01-31T12:00');
    await send(olga, 'Save');
    await refusedAt(olga, field(olga, 'Runs until (UTC)'), /This moment has passed/);
    assert.deepEqual(await typed(sheet(olga)), { plan: `team-${tag}`, until: '2020-01-31T12:00' });
    await inspect(olga, 'operator-subscribe-wrong');
    await field(olga, 'Runs until (UTC)').fill('2099-01-31T12:00');
    await send(olga, 'Save');
    await saying(olga, /Done\. In force/);
  });
  const { key: text } = await key(handle, { name: 'For the shop' });
  assert.equal(await chat(text, 'chat-a'), 200);
  for (const [task, button, status, badge] of [
    ['Suspend', 'Suspend', 403, /^Suspended/],
    ['Resume', 'Resume', 200, /^Good/],
    ['Let the plan lapse now', 'Let the plan lapse now', 402, /^Lapsed on/],
    ['Change plan', 'Save', 200, /^Good/],
  ]) {
    await step(task, async () => {
      await open(olga, task);
      await inspect(olga, `operator-account-${button.split(' ')[0].toLowerCase()}-${status}`);
      await send(olga, button);
      await saying(olga, /Done\. In force/);
      await olga.page.getByText(badge).first().waitFor();
      assert.equal(await chat(text, 'chat-a'), status, task);
    });
  }
  await step('renamed', async () => {
    await open(olga, 'Rename');
    await field(olga, 'Name').fill('');
    await send(olga, 'Save');
    await refusedAt(olga, field(olga, 'Name'), /1 to 200 characters/);
    await field(olga, 'Name').fill(`Shop of ${tag}`);
    await send(olga, 'Save');
    await saying(olga, /Saved/);
    await olga.page.getByRole('heading', { level: 1, name: `Shop of ${tag}` }).waitFor();
  });
  await step('found in the list, or not', async () => {
    const { page } = olga;
    await page.goto('/operator/accounts');
    await page.getByLabel('Search by name or handle').fill('shop of');
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await row(olga, `Shop of ${tag}`).waitFor();
    assert.equal(await row(olga, 'default').count(), 0);
    await page.getByLabel('Standing').selectOption({ label: 'Suspended' });
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    await inspect(olga, 'operator-accounts-none');
    await page.getByRole('link', { name: 'Show all' }).click();
    await row(olga, 'default').waitFor();
  });
}

async function upstreams(olga, tag) {
  const { page } = olga;
  const name = `gpu-${tag}`;
  await page.goto('/operator/upstreams');
  await open(olga, 'Add upstream');
  await field(olga, 'Name').fill('two words');
  await field(olga, 'Base URL').fill('ftp://somewhere');
  await field(olga, 'Engine').selectOption('openai');
  await field(olga, 'New credential').fill('sk-typed-in-vain');
  await send(olga, 'Add upstream');
  await refusedAt(olga, field(olga, 'Name'), /A name has 1 to 64/);
  await refusedAt(olga, field(olga, 'Base URL'), /A base URL is http/, { first: false });
  const kept = { name: 'two words', base_url: 'ftp://somewhere', engine: 'openai', on_client_gone: 'cancel', enabled: true, credential: '' };
  assert.deepEqual(await typed(sheet(olga)), kept, 'all but the credential, and its field says so');
  await inspect(olga, 'operator-upstream-wrong');
  await field(olga, 'Name').fill(name);
  await field(olga, 'Base URL').fill(`${given.upstream}/v1`);
  await send(olga, 'Add upstream');
  await saying(olga, /Saved/);

  const test = async (verdict, picture) => {
    await page.getByRole('button', { name: 'Test', exact: true }).click();
    await page.getByRole('status').filter({ hasText: verdict }).first().waitFor();
    await inspect(olga, picture);
  };
  await step('tested: good', () => test(/It answers and lists what the catalogue asks it for/, 'operator-upstream-good'));
  const move = async (url) => {
    await open(olga, 'Edit');
    await field(olga, 'Base URL').fill(url);
    await send(olga, 'Save');
    await saying(olga, /Done\. In force/);
  };
  await step('tested where nothing answers', async () => {
    await move(NOBODY);
    await test(/Nothing answers there\. Start it, correct its base URL/, 'operator-upstream-dead');
  });
  await step('a credential that is to be set and is not', async () => {
    await open(olga, 'Edit');
    await sheet(olga).getByRole('radio', { name: 'Set the one below' }).check();
    await send(olga, 'Save');
    await refusedAt(olga, field(olga, 'New credential'), /This is needed/);
    assert.ok(await sheet(olga).getByRole('radio', { name: 'Set the one below' }).isChecked());
    await field(olga, 'New credential').fill('sk-a-new-one');
    await field(olga, 'Base URL').fill(`${given.upstream}/v1`);
    await send(olga, 'Save');
    await saying(olga, /Done\. In force/);
    assert.ok(!(await page.content()).includes('sk-a-new-one'), 'it is not shown again');
  });
}

async function models(olga, tag) {
  const { page } = olga;
  const { key: text } = await key(`shop-${tag}`, { name: 'For the models', models: 'all' });
  for (const [kind, prices] of Object.entries(PRICES)) {
    const name = `${kind.toLowerCase()}-${tag}`;
    await step(`${kind}: wrong first, then with prices and two upstreams`, async () => {
      await page.goto('/operator/models');
      await page.getByRole('link', { name: 'Add model', exact: true }).click();
      const form = page.locator('#sheet');
      const at = (label, nth = 0) => form.getByLabel(label, { exact: true }).nth(nth);
      await form.getByRole('button', { name: kind, exact: true }).click();
      await form.getByRole('button', { name: kind, exact: true }).and(page.locator('[aria-pressed=true]')).waitFor();
      await at('Name').fill('has a blank');
      await at('Context window (tokens)').fill('many');
      await at('Currency').fill('dollars');
      for (const price of prices) {
        await at(price).fill('-1');
      }
      await at('Upstream').selectOption('fake');
      await at('Weight').fill('heavy');
      await form.getByRole('button', { name: 'Add model', exact: true }).click();
      await refusedAt(olga, at('Name'), /A name has 1 to 128/, { scope: form });
      for (const [label, words] of [
        ['Context window (tokens)', /A whole number above 0/],
        ['Currency', /Three letters/],
        ...prices.map((price) => [price, /A decimal figure/]),
        ['Upstream', /A weight is a whole number from 0 to 1000000/],
      ]) {
        await refusedAt(olga, at(label), words, { scope: form, first: false });
      }
      assert.deepEqual(
        [await at('Name').inputValue(), await at(prices[0]).inputValue(), await at('Upstream').inputValue(), await at('Weight').inputValue()],
        ['has a blank', '-1', 'fake', 'heavy'],
      );
      if (kind === 'Chat') {
        await inspect(olga, 'operator-model-wrong');
      }
      await at('Name').fill(name);
      await at('Context window (tokens)').fill('32768');
      await at('Currency').fill('usd');
      for (const [nth, price] of prices.entries()) {
        await at(price).fill(`0.${nth + 1}5`);
      }
      await at('Weight').fill('1');
      await at('Its name there').fill('chat-a');
      await form.getByRole('button', { name: 'Add another upstream' }).click();
      await at('Upstream', 1).waitFor();
      assert.equal(await at('Name').inputValue(), name, 'another row takes nothing away');
      await at('Upstream', 1).selectOption(`gpu-${tag}`);
      await at('Its name there', 1).fill('chat-b');
      await at('Weight', 1).fill('3');
      await send(olga, 'Add model', form);
      await saying(olga, /Saved/);
      const seen = await row(olga, name).innerText();
      for (const part of [kind, '0.15', 'fake', `gpu-${tag}`, '32,768']) {
        assert.ok(seen.includes(part), `${part} in ${seen}`);
      }
    });
  }
  assert.equal(await chat(text, `chat-${tag}`), 200, 'it can be called at once');
  await step('edited: wrong first; a row taken out', async () => {
    const form = page.locator('#sheet');
    await page.getByRole('link', { name: `Edit chat-${tag}`, exact: true }).click();
    await form.getByLabel(PRICES.Chat[0], { exact: true }).fill('free');
    await send(olga, 'Save', form);
    await refusedAt(olga, form.getByLabel(PRICES.Chat[0], { exact: true }), /A decimal figure/, { scope: form });
    await form.getByLabel(PRICES.Chat[0], { exact: true }).fill('0.75');
    await form.getByRole('button', { name: 'Remove 1', exact: true }).click();
    await eventually('one row is left', async () => (await form.getByLabel('Upstream', { exact: true }).count()) === 1);
    assert.equal(await form.getByLabel('Upstream', { exact: true }).inputValue(), `gpu-${tag}`);
    await inspect(olga, 'operator-model-edit');
    await send(olga, 'Save', form);
    await saying(olga, /Done\. In force/);
    assert.match(await row(olga, `chat-${tag}`).innerText(), /0\.75/);
    assert.equal(await chat(text, `chat-${tag}`), 200);
  });
  await step('an upstream that serves cannot be removed; a model can', async () => {
    await page.goto('/operator/upstreams');
    await page.getByRole('link', { name: `gpu-${tag}`, exact: true }).click();
    await open(olga, 'Remove');
    assert.match(await sheet(olga).innerText(), /It still serves these models/);
    assert.equal(await sheet(olga).getByRole('button', { name: 'Remove', exact: true }).count(), 0);
    await page.goto('/operator/models');
    await open(olga, `Remove chat-${tag}`);
    await inspect(olga, 'operator-model-remove');
    await send(olga, 'Remove');
    await saying(olga, /Done\. In force/);
    assert.equal(await row(olga, `chat-${tag}`).count(), 0);
    assert.equal(await chat(text, `chat-${tag}`), 404);
  });
}

async function users(olga, tag) {
  const { page } = olga;
  await page.goto('/operator/users');
  await open(olga, 'Create user');
  await field(olga, 'E-mail').fill('no address');
  await field(olga, 'Account (handle)').fill('nowhere');
  await send(olga, 'Create user');
  await refusedAt(olga, field(olga, 'Name'), /1 to 200 characters/);
  await refusedAt(olga, field(olga, 'E-mail'), /This is not a mail address/, { first: false });
  assert.equal((await typed(sheet(olga))).account, 'nowhere');
  await inspect(olga, 'operator-user-wrong');
  await field(olga, 'Name').fill(`Uyên ${tag}`);
  await field(olga, 'E-mail').fill(`uyen-${tag}@example.com`);
  await send(olga, 'Create user');
  await refusedAt(olga, field(olga, 'Account (handle)'), /There is no account of this handle/);
  await field(olga, 'Account (handle)').fill(`shop-${tag}`);
  await send(olga, 'Create user');
  await saying(olga, /Saved/);

  const guest = await visitor({ js: olga.js });
  await step('a sign-in link lets in who lost the way', async () => {
    const here = page.url();
    await page.getByRole('button', { name: 'Make a sign-in link' }).click();
    await page.getByText(/It is shown this once/).waitFor();
    const link = (await page.getByText(/\/sign-in\//).first().innerText()).trim();
    await inspect(olga, 'operator-user-link');
    await signIn(guest, link);
    assert.equal((await guest.page.goto(`/a/shop-${tag}/keys`)).status(), 200);
    await page.goto(here);
  });
  await step('a role in another account', async () => {
    await customer(`annex-${tag}`);
    await open(olga, 'Change accounts and roles');
    await field(olga, 'Account (handle)').fill('nowhere');
    await field(olga, 'Role there').selectOption({ label: 'viewer' });
    await send(olga, 'Save');
    await refusedAt(olga, field(olga, 'Account (handle)'), /There is no account of this handle/);
    assert.deepEqual(await typed(sheet(olga)), { account: 'nowhere', role: 'viewer' });
    await field(olga, 'Account (handle)').fill(`annex-${tag}`);
    await send(olga, 'Save');
    await saying(olga, /Done\. In force/);
    assert.equal((await guest.page.goto(`/a/annex-${tag}/keys`)).status(), 200);
  });
  await step('disabled at once, and enabled again', async () => {
    await open(olga, 'Disable');
    assert.match(await sheet(olga).innerText(), /1 sessions|1 session/);
    await inspect(olga, 'operator-user-disable');
    await send(olga, 'Disable');
    await saying(olga, /Done\. In force/);
    await guest.page.goto(`/a/shop-${tag}/keys`);
    assert.equal(new URL(guest.page.url()).pathname, '/sign-in');
    await open(olga, 'Enable');
    await send(olga, 'Enable');
    await saying(olga, /Done\. In force/);
  });
  await guest.context.close();
  await step('nobody found', async () => {
    await page.goto('/operator/users');
    await page.getByLabel('Search by name or e-mail').fill('nobody has this name');
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
  });
}

async function audit(olga, tag) {
  const { page } = olga;
  const show = () => page.getByRole('button', { name: 'Show', exact: true }).click();
  const rows = () => page.locator('tbody tr').allInnerTexts();
  await page.goto('/operator/audit');
  await inspect(olga, 'operator-audit');
  await step('by account', async () => {
    await page.getByLabel('Account', { exact: true }).fill(`shop-${tag}`);
    await show();
    await page.waitForURL(/account=shop/);
    const seen = await rows();
    assert.ok(seen.length > 3 && seen.every((text) => text.includes(`shop-${tag}`)), seen.join('\n'));
    assert.equal(await page.getByLabel('Account', { exact: true }).inputValue(), `shop-${tag}`);
  });
  await step('by what was done', async () => {
    await page.getByLabel('What', { exact: true }).selectOption({ label: 'Accounts' });
    await show();
    await page.waitForURL(/action=account/);
    const seen = await rows();
    for (const deed of ['created', 'suspended', 'resumed']) {
      const of = seen.filter((text) => text.includes(`${deed} the account`));
      assert.ok(of.length === 1 && of[0].includes(`Olga ${tag}`), `${deed}:\n${seen.join('\n')}`);
    }
    assert.ok(seen.every((text) => !text.includes('API key')), seen.join('\n'));
    const suspended = page.locator('tbody tr').filter({ hasText: 'suspended the account' });
    await suspended.locator('summary').click();
    await suspended.getByText('account.edit', { exact: true }).waitFor();
    await inspect(olga, 'operator-audit-filtered');
  });
  await step('by whom: a person, and nobody', async () => {
    await page.goto('/operator/audit');
    await page.getByLabel('Who (user ID or e-mail)').fill(`olga-${tag}@example.com`);
    await show();
    await page.waitForURL(/actor=olga/);
    const seen = await rows();
    assert.ok(seen.length > 10 && seen.every((text) => text.includes(`Olga ${tag}`)), seen.join('\n'));
    await page.getByLabel('Who (user ID or e-mail)').fill('nobody@example.com');
    await show();
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    await page.getByRole('link', { name: 'Show all' }).click();
    await page.locator('tbody tr').first().waitFor();
  });
  await step('by time', async () => {
    await page.getByLabel('To (UTC)').fill('2020-01-01T00:00');
    await show();
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    assert.equal(await page.getByLabel('To (UTC)').inputValue(), '2020-01-01T00:00', 'what was asked stays');
  });
}

async function nodes(olga) {
  const { page, js } = olga;
  await page.goto('/operator/nodes');
  const node = page.locator('#nodes section').first();
  await node.getByText('Serving', { exact: true }).waitFor();
  await node.getByText('up to date').waitFor();
  if (js) {
    // The page asks by itself, and says that nobody did: its session ends all the same.
    const asked = await page.waitForRequest((request) => 'x-tollgate-poll' in request.headers());
    assert.equal(new URL(asked.url()).pathname, '/operator/nodes');
    await (await asked.response()).finished();
    await node.getByText('Serving', { exact: true }).waitFor();
  }
  await page.getByRole('link', { name: 'Pause updates' }).click();
  await page.getByRole('link', { name: 'Go on updating' }).waitFor();
  assert.equal(await page.locator('#nodes').getAttribute('hx-trigger'), null, 'paused');
  await inspect(olga, 'operator-nodes-paused');
}

async function usage(olga, tag) {
  const { page, js } = olga;
  const rows = async () => (await page.locator('#part-table tbody tr').allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));
  const show = () => page.getByRole('button', { name: 'Show', exact: true }).click();
  await page.goto('/operator/usage');
  await eventually('the shop has its line', async () => {
    const has = (await rows()).some((text) => text.includes(`shop-${tag}`) || text.includes(`Shop of ${tag}`));
    return has || (await page.reload(), false);
  });
  await step('an account that is not there', async () => {
    await page.getByLabel('Account', { exact: true }).fill('nowhere');
    await show();
    const account = page.getByLabel('Account', { exact: true });
    await eventually('the field is marked', async () => (await account.getAttribute('aria-invalid')) === 'true');
    assert.equal(await account.inputValue(), 'nowhere');
    await inspect(olga, 'operator-usage-wrong');
  });
  await step('one account, by model', async () => {
    await page.getByLabel('Account', { exact: true }).fill(`shop-${tag}`);
    await page.getByLabel('Group by').selectOption({ label: 'Model' });
    if (!js) {
      await show();
    }
    await page.waitForURL(/account=shop/);
    await eventually('its models have lines', async () => {
      const seen = await rows();
      return seen.length === 2 && seen.some((text) => text.includes('chat-a')) && seen.some((text) => text.includes(`chat-${tag}`));
    });
    await inspect(olga, 'operator-usage-account');
  });
}
