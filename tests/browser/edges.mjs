// What happens beside the guide: leaving in the middle, two at once, names that are no names, forms that are wrong,
// accounts without a plan, the weight of the page.

import { script, visitor, signIn, inspect, step, each, customer, key, api, chat, eventually, transferred, given, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey } from './pages.mjs';

/** The most that the keys page may weigh, compressed, with all that it loads. */
const MOST_BYTES = 150_000;
const NAMES = {
  markup: '<script>alert(1)</script><img src=x onerror=alert(2)>',
  quotes: `"double" 'single' \`back\` & &amp; {{ name }} %00`,
  emoji: '\u{1F680}'.repeat(200),
  rightToLeft: 'مفتاح الإنتاج \u202Egpj.exe עברית',
};

await script(async () => {
  await each([{ js: true, name: 'with JavaScript' }, { js: false, name: 'without JavaScript' }], 2, async ({ js }) => {
    const w = words.en;
    const account = js ? 'acme' : 'plain';
    const ann = await customer(account);
    const person = await visitor({ js });
    await signIn(person, await ann.link());
    await step("the browser's memory of pages", () => memory(ann, w, account, js));
    await step('leaving in the middle', () => leaving(person, w, account));
    await step('two tabs edit one key', () => twoTabs(person, w, account));
    await step('forms that are wrong', () => wrongForms(person, w, account));
    await step('names', () => names(person, w, account));
    await person.context.close();
  });
  await step('choosing while an answer is on its way', choosing);
  await step('no connection', noConnection);
  await step('an account without a paid plan', noPlan);
  await step('the weight of the keys page', weight);
});

/** What the API says of an account's keys: names, models and states. */
async function keysOf(account) {
  const { data } = await api('GET', `keys?account=${account}`);
  return data.map(({ name, models, status }) => ({ name, models, status }));
}

/** Each dialog, left and come back to: nothing was done, nothing is lost. */
async function leaving(person, w, account) {
  const { page, js } = person;
  const list = `/a/${account}/keys`;
  const kept = await key(account, { name: 'Kept', models: ['chat-a'] });
  const before = await keysOf(account);
  const untouched = async () => assert.deepEqual(await keysOf(account), before);
  const leave = async () => {
    if (js) {
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'hidden' });
    } else {
      await page.goBack();
    }
    await line(person, 'Kept').waitFor();
  };

  await page.goto(list);
  await step('creating: by Escape or Back, by another page, by Cancel', async () => {
    const open = async () => {
      await page.getByRole('link', { name: w.createNew }).first().click();
      await sheet(person).getByLabel(w.name, { exact: true }).fill('Half');
    };
    await open();
    await leave();
    await open();
    await page.goto(`/a/${account}/usage`);
    await page.goto(list);
    await open();
    await sheet(person).getByRole('link', { name: 'Cancel' }).or(sheet(person).getByRole('button', { name: 'Cancel' })).click();
    await line(person, 'Kept').waitFor();
    await untouched();
  });
  await step('editing', async () => {
    await act(person, w, 'Kept', w.edit);
    await sheet(person).getByLabel(w.name, { exact: true }).fill('Changed');
    await leave();
    await act(person, w, 'Kept', w.edit);
    assert.equal(await sheet(person).getByLabel(w.name, { exact: true }).inputValue(), 'Kept');
    await leave();
    await untouched();
  });
  for (const task of [w.revoke, 'Disable', 'Rotate']) {
    await step(task, async () => {
      await act(person, w, 'Kept', task);
      await leave();
      await untouched();
    });
  }
  await step('a key that was shown and not finished: it is there, it works, its text is gone', async () => {
    await page.goto(list);
    await page.getByRole('link', { name: w.createNew }).first().click();
    await sheet(person).getByLabel(w.name, { exact: true }).fill('Unfinished');
    await sheet(person).getByRole('radio', { name: w.all }).check();
    await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
    const text = await shownKey(person);
    if (js) {
      await page.keyboard.press('Escape');
      await page.keyboard.press('Escape');
      assert.equal(await shownKey(person), text, 'Escape does not take away what is shown once');
    }
    // A reload: without the script it sends the form again.
    await page.reload();
    assert.ok(!(await page.content()).includes(text.slice(16)));
    await page.goto(list);
    await line(person, 'Unfinished').waitFor();
    assert.equal(await chat(text, 'chat-a'), 200);
    assert.equal((await keysOf(account)).filter(({ name }) => name === 'Unfinished').length, 1, 'one key was made');
  });
  await step('signed out in another tab meanwhile: one is led to the sign-in page, and nothing is done', async () => {
    const state = await keysOf(account);
    await act(person, w, 'Kept', w.edit);
    await sheet(person).getByLabel(w.name, { exact: true }).fill('Too late');
    const cookies = await person.context.cookies();
    await person.context.clearCookies();
    await sheet(person).getByRole('button', { name: w.save, exact: true }).click();
    await page.waitForURL('**/sign-in**');
    assert.deepEqual(await keysOf(account), state);
    await person.context.addCookies(cookies);
  });
  await api('POST', `keys/${kept.id}/revoke`);
}

/**
 * A browser keeps pages that one left, also those that are not to be stored, and shows them again by Back without asking.
 * The page of a new key answers a POST, which no browser keeps; where it is a dialog, the script takes it out. So the cache
 * need not be cleared for it (`Clear-Site-Data`, which would throw away every file of the console with each key). Signing
 * out changes the cookie, and with it goes what was kept.
 */
async function memory(ann, w, account, js) {
  const person = await visitor({ js, remembers: true });
  person.leaves = (url) => url.startsWith(given.upstream);
  const { page } = person;
  const asked = [];
  page.on('request', (request) => request.isNavigationRequest() && asked.push(request.url()));
  const back = async () => {
    asked.length = 0;
    // What may not be shown again leads to a page of the browser's own, which Playwright takes for a failure.
    await page.goBack({ waitUntil: 'commit' }).catch(() => {});
    let content;
    await eventually('a page stands', async () => (content = await page.content().catch(() => '')) !== '');
    return content;
  };
  await signIn(person, await ann.link());
  await step('it does keep pages', async () => {
    await page.goto(`${given.upstream}/ledger`);
    await page.goto(`/a/${account}/keys`);
    await back();
    assert.deepEqual([page.url(), asked], [`${given.upstream}/ledger`, []]);
    if (!js) {
      await page.goto(`/a/${account}/keys`);
      await page.goto('/me');
      assert.ok((await back()).includes(w.createNew));
      assert.deepEqual(asked, [], 'even one that is not to be stored');
    }
  });
  for (const elsewhere of [`/a/${account}/usage`, `${given.upstream}/ledger`]) {
    await step(`a key that was shown, by Back from ${new URL(elsewhere, given.url).pathname}`, async () => {
      await page.goto(`/a/${account}/keys`);
      await page.getByRole('link', { name: w.createNew }).first().click();
      await sheet(person).getByLabel(w.name, { exact: true }).fill('Remembered');
      await sheet(person).getByRole('radio', { name: w.all }).check();
      await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
      const secret = (await shownKey(person)).slice(16);
      await page.goto(elsewhere);
      assert.ok(!(await back()).includes(secret), 'by Back');
      await page.reload().catch(() => {});
      assert.ok(!(await page.content().catch(() => '')).includes(secret), 'by Back and reload');
    });
  }
  await step('signed out: nothing is shown again', async () => {
    await page.goto(`/a/${account}/keys`);
    await line(person, 'Remembered').first().waitFor();
    await page.getByRole('button', { name: w.accountIcon }).click();
    await page.getByRole('button', { name: w.signOut }).click();
    await page.waitForURL('**/sign-in');
    assert.ok(!(await back()).includes('Remembered'));
    await page.waitForURL('**/sign-in?next=**');
  });
  for (const { id, name, status } of (await api('GET', `keys?account=${account}`)).data) {
    assert.deepEqual([name, status], ['Remembered', 'active']);
    await api('POST', `keys/${id}/revoke`);
  }
  await person.context.close();
}

/** The later of two is told, sees both, and nothing is lost silently. */
async function twoTabs(person, w, account) {
  const { id } = await key(account, { name: 'Shared', models: ['chat-a'] });
  const first = { ...person };
  const second = { ...person, page: await person.context.newPage() };
  for (const tab of [first, second]) {
    await tab.page.goto(`/a/${account}/keys`);
    await act(tab, w, 'Shared', w.edit);
  }
  await sheet(first).getByLabel(w.name, { exact: true }).fill('By the first');
  await sheet(first).getByRole('button', { name: w.save, exact: true }).click();
  await first.page.getByRole('status').filter({ hasText: w.saved }).waitFor();

  await sheet(second).getByLabel(w.name, { exact: true }).fill('By the second');
  await sheet(second).getByRole('button', { name: w.save, exact: true }).click();
  await second.page.getByText(/Somebody changed this key since you opened it/).waitFor();
  assert.equal(await sheet(second).getByLabel(w.name, { exact: true }).inputValue(), 'By the second', 'what was typed stays');
  assert.ok((await sheet(second).innerText()).includes('By the first'), 'what it is now is shown');
  assert.equal((await api('GET', `keys/${id}`)).name, 'By the first', 'nothing was overwritten');
  await inspect(second, 'keys-conflict');
  await sheet(second).getByRole('button', { name: w.save, exact: true }).click();
  await second.page.getByRole('status').filter({ hasText: w.saved }).waitFor();
  assert.equal((await api('GET', `keys/${id}`)).name, 'By the second', 'who was told may go on');
  await second.page.close();
}

/** A form that is wrong says so beside the field, and keeps what was typed. */
async function wrongForms(person, w, account) {
  const { page } = person;
  const before = (await keysOf(account)).length;
  await page.goto(`/a/${account}/keys`);
  await page.getByRole('link', { name: w.createNew }).first().click();
  const form = sheet(person);
  await form.getByRole('textbox', { name: /Note/ }).fill('a note that is kept');
  await form.locator('form').evaluate((element) => { element.noValidate = true; });
  await form.getByRole('button', { name: w.create, exact: true }).click();
  const name = form.getByLabel(w.name, { exact: true });
  await eventually('the field is marked', async () => (await name.getAttribute('aria-invalid')) === 'true');
  const described = (await name.getAttribute('aria-describedby')).split(' ');
  const said = await Promise.all(described.map((id) => page.locator(`#${id}`).innerText()));
  assert.match(said.join(' '), /This is needed/);
  assert.match(await form.innerText(), /Choose at least one model, or all/);
  assert.equal(await form.getByRole('textbox', { name: /Note/ }).inputValue(), 'a note that is kept');
  await inspect(person, 'keys-create-wrong');
  assert.equal((await keysOf(account)).length, before);
  // Put right, it goes through.
  await name.fill('Right now');
  await form.getByRole('radio', { name: w.all }).check();
  await form.getByRole('button', { name: w.create, exact: true }).click();
  await shownKey(person);
  assert.equal((await keysOf(account)).length, before + 1);
}

/** On the usage page: what is chosen before the answer to the choice before has come counts too. */
async function choosing() {
  const ann = await customer('quick');
  const person = await visitor();
  const { page } = person;
  await signIn(person, await ann.link());
  await page.goto('/a/quick/usage', { waitUntil: 'networkidle' });
  let letGo;
  const held = new Promise((resolve) => { letGo = resolve; });
  const asked = [];
  await page.route(/\/a\/quick\/usage\?/, async (route) => {
    const request = route.request();
    if (!('x-tollgate-poll' in request.headers())) {
      asked.push(new URL(request.url()).searchParams);
      await (asked.length === 1 && held);
    }
    await route.continue();
  });
  await page.getByLabel('Group by').selectOption('day');
  await eventually('the first choice is asked', () => asked.length === 1);
  await page.getByLabel('Time zone').selectOption('UTC');
  await page.getByRole('radio', { name: 'Last 30 days' }).check({ force: true });
  letGo();
  await page.waitForURL(({ searchParams: now }) => now.get('by') === 'day' && now.get('tz') === 'UTC' && now.get('range') === '30d');
  assert.equal(asked.length, 2, 'once more, for both');
  assert.equal(await page.getByLabel('Group by').inputValue(), 'day');
  assert.ok(await page.getByRole('radio', { name: 'Last 30 days' }).isChecked());
  // What stands there for who comes back to it is the whole question.
  await page.reload();
  assert.equal(await page.getByLabel('Time zone').inputValue(), 'UTC');
  await person.context.close();
}

/** The service cannot be reached: that is said, what was typed stays, and goes through later. */
async function noConnection() {
  const ann = await customer('offline');
  await key('offline', { name: 'Before' });
  const person = await visitor();
  const { page } = person;
  await signIn(person, await ann.link());
  await page.goto('/a/offline/keys');
  await act(person, words.en, 'Before', 'Edit');
  await sheet(person).getByLabel('Name', { exact: true }).fill('After');
  // The browser says on its console that there is no network.
  person.paused += 1;
  await person.context.setOffline(true);
  await sheet(person).getByRole('button', { name: 'Save', exact: true }).click();
  await sheet(person).getByRole('alert').filter({ hasText: 'The service cannot be reached' }).waitFor();
  await person.context.setOffline(false);
  person.paused -= 1;
  await inspect(person, 'keys-offline');
  assert.equal(await sheet(person).getByLabel('Name', { exact: true }).inputValue(), 'After');
  await sheet(person).getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByRole('status').filter({ hasText: 'Saved' }).waitFor();
  await line(person, 'After').waitFor();
  await person.context.close();
}

/** Whatever people call a key, it stays text: in the list, the sheets, the report. */
async function names(person, w, account) {
  const { page } = person;
  for (const [kind, name] of Object.entries(NAMES)) {
    await step(kind, async () => {
      await page.goto(`/a/${account}/keys`);
      await page.getByRole('link', { name: w.createNew }).first().click();
      await sheet(person).getByLabel(w.name, { exact: true }).fill(name);
      await sheet(person).getByRole('radio', { name: w.all }).check();
      await sheet(person).getByRole('button', { name: w.create, exact: true }).click();
      const text = await shownKey(person);
      assert.equal(await chat(text, 'chat-a'), 200);
      const made = (await api('GET', `keys?account=${account}`)).data.find((one) => text.startsWith(one.hint.replace('…', '')));
      assert.equal(made.name, name);
      await page.goto(`/a/${account}/keys`);
      await line(person, name).waitFor();
      await act(person, w, name, w.edit);
      assert.equal(await sheet(person).getByLabel(w.name, { exact: true }).inputValue(), name);
      await page.goto(`/a/${account}/keys`);
      await act(person, w, name, w.revoke);
      assert.ok((await sheet(person).textContent()).includes(name));
    });
  }
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(`/a/${account}/keys`);
  await inspect({ ...person, name: `${person.name}-390` }, 'keys-names');
  await step('in the usage report', async () => {
    await eventually('all are counted', async () => {
      await page.goto(`/a/${account}/usage`);
      const text = await page.locator('main').textContent();
      return Object.values(NAMES).every((name) => text.includes(name));
    });
    await inspect({ ...person, name: `${person.name}-390` }, 'usage-names');
  });
  await page.setViewportSize({ width: 1440, height: 900 });
}

/** Subscribe to a paid plan, or contact us: a note on the list, and no form that could only fail. */
async function noPlan() {
  const person = await visitor();
  const { page } = person;
  await signIn(person, await (await customer('planless', { paid: false })).link());
  await page.goto('/a/planless/keys');
  const note = page.getByRole('status').filter({ hasText: /Subscribe to a paid plan/ });
  assert.equal(await note.getByRole('link', { name: words.en.contactUs }).getAttribute('href'), 'mailto:sales@example.com');
  await inspect(person, 'keys-no-plan');
  assert.equal((await page.goto('/a/planless/keys/new')).status(), 402);
  await page.getByRole('link', { name: words.en.contactUs }).first().waitFor();
  await inspect(person, 'keys-new-no-plan');
  await person.context.close();
}

/** Everything that the page loads, first visit, with a full page of keys. */
async function weight() {
  const ann = await customer('many');
  for (let at = 0; at < 60; at += 1) {
    await key('many', { name: `Key number ${at}`, models: ['chat-a', 'chat-b', 'embed-a'], note: `for the program ${at}` });
  }
  const person = await visitor();
  await signIn(person, await ann.link());
  const { total, list } = await transferred(person, person.page, async () => {
    await person.page.goto('/a/many/keys', { waitUntil: 'networkidle' });
  });
  const shown = list.map(({ url, bytes }) => `${bytes} ${new URL(url).pathname}`).join('\n');
  assert.ok(total > 5_000 && total < MOST_BYTES, `${total} bytes:\n${shown}`);
  console.log(`the keys page weighs ${total} bytes:\n${shown}`);
  await inspect(person, 'keys-many');
  await person.context.close();
}
