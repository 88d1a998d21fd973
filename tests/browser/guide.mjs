// The guide that customers are given, word by word: view, create, edit, revoke, usage. In both languages and themes, on a
// phone and at a desk, with and without JavaScript; each time by a customer of their own, whose figures are compared with
// the upstream's own count.

import { readFile } from 'node:fs/promises';
import { script, visitor, signIn, inspect, step, each, customer, api, chat, stream, ledger, eventually, copied, given, assert } from './lib.mjs';
import { words } from './words.mjs';
import { sheet, line, act, shownKey, facts, figures } from './pages.mjs';

/** How many go through the guide at once: as many as there are cores. */
const AT_ONCE = 2;

const everyWay = ['en', 'vi'].flatMap((lang) =>
  ['light', 'dark'].flatMap((theme) =>
    [1440, 390].flatMap((width) =>
      [true, false].map((js) => ({ lang, theme, width, js, name: `${lang}-${theme}-${width}${js ? '' : '-nojs'}` })),
    ),
  ),
);

await script(async () => {
  const ways = everyWay.filter(({ name }) => !given.only || name.startsWith(given.only));
  await each(ways, AT_ONCE, async (way) => {
    const person = await visitor(way);
    const w = words[way.lang];
    const owner = await customer(way.name);
    await signIn(person, await owner.link());

    await step('View', () => view(person, w));
    const key = await step('Create', () => create(person, w));
    await step('the key works', () => use(key, way.name));
    await step('Edit', () => edit(person, w));
    await step('Revoke', () => revoke(person, w, key, way.name));
    await step('Usage', () => usage(person, w, way.name));
    await person.context.close();
  });
});

/** Click the account icon on the header → My Account → the list on My API Keys. */
async function view(person, w) {
  const { page } = person;
  await page.goto('/me');
  await page.getByRole('banner').getByRole('button', { name: w.accountIcon }).click();
  await page.getByRole('link', { name: w.myAccount, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: w.myKeys }).waitFor();
  await inspect(person, 'keys-none');
}

/** Create New API Key → Name → choose the models → Create; the key is shown once → Done. */
async function create(person, w) {
  const { page } = person;
  await page.getByRole('link', { name: w.createNew }).first().click();
  const form = sheet(person);
  await form.getByRole('heading', { name: w.createNew }).waitFor();
  await form.getByLabel(w.name, { exact: true }).fill('Assistant');
  await form.getByText(w.choose).waitFor();
  const models = form.getByRole('group', { name: w.permission });
  await models.getByRole('radio', { name: w.all }).waitFor();
  await models.getByRole('radio', { name: w.only }).check();
  const box = (name) => models.getByRole('checkbox', { name });
  if (person.js) {
    await step('search and select all', async () => {
      await models.getByRole('searchbox', { name: w.search }).fill('chat-');
      assert.ok(await box('chat-a').isVisible());
      assert.ok(!(await box('embed-a').isVisible()), 'the search narrows the list');
      await box(w.selectAll).check();
      await models.getByRole('searchbox', { name: w.search }).fill('');
      assert.ok((await box('chat-b').isChecked()) && !(await box('embed-a').isChecked()), 'only what is shown is selected');
    });
  } else {
    await box('chat-a').check();
    await box('chat-b').check();
  }
  await inspect(person, 'keys-create');
  await form.getByRole('button', { name: w.create, exact: true }).click();

  const key = await step('the key is shown once, with its warnings', async () => {
    const key = await shownKey(person);
    const text = (await sheet(person).innerText()).replace(/\s+/g, ' ');
    w.warnings.forEach((warning) => assert.match(text, warning));
    if (person.js) {
      const inClipboard = await copied(page, async () => {
        await sheet(person).getByRole('button', { name: w.copy, exact: true }).first().click();
        await sheet(person).getByRole('button', { name: w.copied }).first().waitFor();
      });
      assert.equal(inClipboard, key);
    }
    await inspect(person, 'keys-created');
    return key;
  });
  await step('Done finishes, and the key cannot be seen again', async () => {
    const unseen = async (when) => {
      let content;
      // Back to what was sent by a form leads to a page of the browser's own, which takes a moment.
      await eventually('the page stands', async () => (content = await page.content().catch(() => undefined)) !== undefined);
      assert.ok(!content.includes(key.slice(16)), `seen again ${when}`);
    };
    await sheet(person).getByRole('link', { name: w.done }).or(sheet(person).getByRole('button', { name: w.done })).click();
    await line(person, 'Assistant').waitFor();
    await unseen('in the list');
    await page.goBack().catch(() => {});
    await unseen('by Back');
    await page.reload().catch(() => {});
    await unseen('by Back and reload');
    await page.goto(`/a/${person.name}/keys`);
    await page.reload();
    await unseen('by reload');
    const listed = await line(person, 'Assistant').innerText();
    assert.ok(listed.includes(key.slice(0, 15)) && listed.includes('chat-a') && listed.includes('chat-b'), listed);
  });
  const { data } = await api('GET', `keys?account=${person.name}`);
  assert.deepEqual(data.map((one) => [one.name, [...one.models].sort()]), [['Assistant', ['chat-a', 'chat-b']]]);
  return key;
}

/** What the customer's program does with the key: some answers, one stream, one failure. */
async function use(key, user) {
  assert.equal(await chat(key, 'chat-a', { user, fake: { input: 1_204, output: 333 } }), 200);
  assert.equal(await chat(key, 'chat-a', { user, fake: { input: 7, output: 5 } }), 200);
  assert.equal(await chat(key, 'chat-b', { user, stream: true, fake: { input: 41, output: 9, chunks: 3 } }), 200);
  assert.equal(await chat(key, 'chat-b', { user, fake: { status: 422 } }), 422);
  assert.equal(await chat(key, 'renamed', { user }), 403, 'what was not chosen is not permitted');
}

/** Action next to the key → Edit → Name and Permission → Save. */
async function edit(person, w) {
  const { page } = person;
  await act(person, w, 'Assistant', w.edit);
  await sheet(person).getByLabel(w.name, { exact: true }).fill('Assistant 2');
  const permission = sheet(person).getByRole('group', { name: w.permission });
  await permission.getByRole('radio', { name: w.all }).check();
  await inspect(person, 'keys-edit');
  await sheet(person).getByRole('button', { name: w.save, exact: true }).click();
  await page.getByRole('status').filter({ hasText: w.saved }).waitFor();
  const listed = await line(person, 'Assistant 2').innerText();
  assert.ok(listed.includes(w.allModels), listed);
  await inspect(person, 'keys-list');
}

/** Action → Revoke → a dialog that says what will break → Revoke key → the answer. */
async function revoke(person, w, key, user) {
  const running = await stream(key, 'renamed', { user, fake: { stall_at: 2 } });
  await eventually('the requests are counted', async () => {
    const { data } = await api('GET', `usage?account=${person.name}&bucket=total`);
    return data[0]?.requests >= 4;
  });
  await eventually('where they came from is noted', async () => {
    const { data } = await api('GET', `keys?account=${person.name}`);
    const made = data.find((one) => key.startsWith(one.hint.replace('…', '')));
    return (await api('GET', `keys/${made.id}?account=${person.name}`)).addresses.length > 0;
  });
  await person.page.reload();
  await act(person, w, 'Assistant 2', w.revoke);
  const said = await facts(sheet(person));
  assert.ok(w.number(said[w.lastHour]) >= 4, JSON.stringify(said));
  assert.equal(said[w.lastHour], said[w.lastDay]);
  assert.ok(said[w.lastUsed] && !said[w.lastUsed].includes('1970'), JSON.stringify(said));
  // Where our own requests come from, and nothing else.
  assert.match(said[w.usedFrom], /^127\.0\.0\.1 /, JSON.stringify(said));
  assert.equal(said[w.usedFrom].match(/\d+\.\d+\.\d+\.\d+/g).length, 1, JSON.stringify(said));
  await inspect(person, 'keys-revoke');
  await sheet(person).getByRole('button', { name: w.revokeKey, exact: true }).click();
  await person.page.getByRole('heading', { name: w.dead }).waitFor();
  const answered = await facts(sheet(person));
  assert.equal(answered[w.streams], '1', JSON.stringify(answered));
  await inspect(person, 'keys-revoked');
  const end = await running.text();
  assert.match(end, /api_key_revoked/, 'the stream was told');
  assert.equal(await chat(key, 'chat-a', { user }), 401);
  await person.page.goto(`/a/${person.name}/keys`);
  assert.match(await line(person, 'Assistant 2').innerText(), new RegExp(w.revoked));
}

/** My Account → My usage: figures by model and key, ranges, zone, grouping, chart and table, CSV. */
async function usage(person, w, user) {
  const { page } = person;
  await page.getByRole('banner').getByRole('button', { name: w.accountIcon }).click();
  await page.getByRole('link', { name: w.myUsage, exact: true }).locator('visible=true').first().click();
  await page.getByRole('heading', { level: 1, name: w.myUsage }).waitFor();

  const seen = (await ledger()).filter((entry) => entry.user === user);
  const wanted = (model) => {
    const of = seen.filter((entry) => entry.model === model);
    const sum = (field) => of.reduce((total, entry) => total + entry[field], 0);
    const [input, output] = [sum('input'), sum('output')];
    const failures = of.filter((entry) => entry.status >= 400).length;
    return { input, output, total: input + output, requests: of.length, failures };
  };
  const numbers = ({ input, output, total, requests, failures }) => ({ input, output, total, requests, failures });
  let rows;
  await eventually('the page shows all requests', async () => {
    rows = await figures(person, w).catch(() => []);
    const counted = rows.at(-1)?.requests === seen.length;
    return counted || (await page.reload(), false);
  });
  await step("each model and key has its line, equal to the upstream's own count", async () => {
    for (const model of ['chat-a', 'chat-b']) {
      const row = rows.find(({ lead }) => lead.includes(model));
      assert.ok(row, JSON.stringify(rows));
      assert.deepEqual(numbers(row), wanted(model), model);
      assert.ok(row.lead.includes('Assistant 2') && row.lead.includes(w.revoked), 'renamed and revoked, it keeps its line');
    }
    const cut = rows.find(({ lead }) => lead.includes('renamed'));
    assert.match(cut.doubts, w.unsure, 'a count that is an estimate says so');
    const sum = rows.at(-1);
    const lines = rows.slice(0, -1);
    for (const field of ['input', 'output', 'total', 'requests', 'failures']) {
      assert.equal(lines.reduce((total, row) => total + row[field], 0), sum[field], field);
    }
    // 1,211 at 0.50 and 338 at 1.50 for a million: 0.0011125.
    assert.match(rows.find(({ lead }) => lead.includes('chat-a')).cost, /0[.,]0011/);
  });
  await step('the page says how fresh it is, and is younger than 5 s', async () => {
    const [, seconds] = w.secondsAgo.exec(await page.locator('#part-fresh').innerText());
    assert.ok(Number(seconds) <= 5, `${seconds} s`);
  });
  await step('the chart and the same figures as a table', async () => {
    if (person.js) {
      const chart = page.getByRole('main').getByRole('img').first();
      await chart.waitFor();
      assert.ok((await chart.boundingBox()).height > 80);
    }
    await page.locator('summary', { hasText: w.chartTable }).click();
    const amounts = await page.locator('#chart-data [data-amount]').evaluateAll((cells) => cells.map((cell) => Number(cell.dataset.amount)));
    assert.equal(amounts.reduce((total, amount) => total + amount, 0), rows.at(-1).total);
    await page.locator('summary', { hasText: w.chartTable }).click();
  });
  await inspect(person, 'usage');
  // Where the script runs, a choice is enough.
  const show = async () => person.js || (await page.getByRole('button', { name: w.show, exact: true }).click());
  for (const [by, leads] of [
    [w.model, ['chat-a', 'chat-b', 'renamed']],
    [w.key, ['Assistant 2']],
  ]) {
    await step(`group by ${by}`, async () => {
      await page.getByLabel(w.groupBy).selectOption({ label: by });
      await show();
      let grouped;
      await eventually('the table is grouped', async () => {
        grouped = await figures(person, w).catch(() => []);
        return grouped.length === leads.length + 1 && leads.every((lead) => grouped.some((row) => row.lead.includes(lead)));
      });
      assert.deepEqual(numbers(grouped.at(-1)), numbers(rows.at(-1)));
    });
  }
  await step('group by day in a zone; a preset: one right after the other', async () => {
    await page.getByLabel(w.groupBy).selectOption({ label: w.day });
    await page.getByLabel(w.zone).selectOption('UTC');
    await page.getByRole('radio', { name: w.week }).check({ force: true });
    await show();
    await page.waitForURL(({ searchParams: asked }) => asked.get('by') === 'day' && asked.get('tz') === 'UTC' && asked.get('range') === '7d');
    await eventually('by day', async () => (await figures(person, w).catch(() => []))?.at(-1)?.total === rows.at(-1).total);
  });
  await step('a custom range without anything says so', async () => {
    await page.getByRole('radio', { name: w.custom }).check({ force: true });
    await page.getByLabel(w.from, { exact: true }).fill('2020-01-01');
    await page.getByLabel(w.to, { exact: true }).fill('2020-01-31');
    await page.getByRole('button', { name: w.show, exact: true }).click();
    await page.getByRole('heading', { name: w.nothing }).waitFor();
  });
  await step('CSV has the same figures', async () => {
    await page.goto(`/a/${person.name}/usage`);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: w.csv }).click()]);
    const [head, ...lines] = (await readFile(await download.path(), 'utf8')).trim().split(/\r?\n/);
    const at = head.split(',').indexOf('total_tokens');
    assert.ok(at > 0, head);
    const total = lines.reduce((sum, one) => sum + Number(one.split(',')[at]), 0);
    assert.equal(total, rows.at(-1).total, lines.join('\n'));
  });
}
