// The tasks of the guide as functions, so that other scripts can do them too. Everything is found as a person finds it:
// by what it is and what it is called.

import { assert, eventually } from './lib.mjs';

/** Where a task happens: a dialog where the script runs, a page of its own where it does not. */
export function sheet(person) {
  return person.js ? person.page.getByRole('dialog') : person.page.locator('#sheet');
}

/** The line of the list that is about the key of this name. */
export function line(person, name) {
  return person.page.locator('tbody tr').filter({ has: person.page.getByText(name, { exact: true }) });
}

/** Opens **Action** of a key and chooses one. */
export async function act(person, w, name, action) {
  await line(person, name).getByRole('button', { name: w.action }).click();
  await person.page.getByRole('link', { name: action, exact: true }).locator('visible=true').click();
  await sheet(person).waitFor();
}

/** The text of the key that is shown. */
export async function shownKey(person) {
  const shown = sheet(person).getByText(/^\s*tg_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\s*$/).first();
  return (await shown.textContent()).trim();
}

/**
 * A form that was refused says so at its head, and beside this field what is wrong; the first wrong field has the focus.
 * @param {{scope?: import('playwright-core').Locator, first?: boolean}} more where the form stands, and whether the field is its first wrong one
 */
export async function refusedAt(person, field, words, { scope = sheet(person), first = true } = {}) {
  await eventually('the field is marked', async () => (await field.getAttribute('aria-invalid')) === 'true');
  // The field may be marked from a try before: what it says now is waited for.
  let said = '';
  const says = async () => {
    const described = ((await field.getAttribute('aria-describedby')) ?? '').split(' ').filter(Boolean);
    said = (await Promise.all(described.map((id) => scope.locator(`[id="${id}"]`).innerText({ timeout: 2_000 }).catch(() => '')))).join(' ');
    return words.test(said);
  };
  await eventually(`${words} beside the field`, says).catch((error) => {
    throw new Error(`${error.message}; it says: ${said}`);
  });
  assert.equal(await scope.getByRole('alert').count(), 1, 'the head of the form says so too');
  if (first) {
    await eventually('the first wrong field has the focus', () => field.evaluate((element) => element === document.activeElement));
  }
}

/** Sends a form by its button. */
export async function send(person, button, scope = sheet(person)) {
  // What stands there now is told from the page that comes.
  await person.page.evaluate(() => { document.documentElement.dataset.before = ''; });
  await scope.getByRole('button', { name: button, exact: true }).last().click();
}

/** Waits until the page that came says this in passing: that something was done. */
export async function saying(person, words) {
  const status = person.page.locator('html:not([data-before])').getByRole('status');
  await status.filter({ hasText: words }).first().waitFor();
}

/** What stands in the fields of a form that one sees, by their names; a box that is ticked is `true`. */
export async function typed(scope) {
  return scope.locator('form').last().evaluate((form) => {
    const fields = [...form.elements].filter((one) => one.name && !['hidden', 'submit', 'fieldset'].includes(one.type));
    const boxes = fields.filter((one) => !(one.type === 'radio' && !one.checked));
    return Object.fromEntries(boxes.map((one) => [one.name, one.type === 'checkbox' ? one.checked : one.value]));
  });
}

/** The facts of a sheet, by their names. */
export async function facts(scope) {
  return scope.evaluate((element) =>
    Object.fromEntries(
      [...element.querySelectorAll('dt')].map((dt) => [
        dt.textContent.trim(),
        dt.nextElementSibling.textContent.replace(/\s+/g, ' ').trim(),
      ]),
    ),
  );
}

/** The figures of the usage page: a list of `{lead, input, …}`, the last one is the sum of all. */
export async function figures(person, w) {
  const table = person.page.locator('#part-table');
  const rows = await table.evaluate((element) => {
    const text = (cell) => cell.textContent.replace(/\s+/g, ' ').trim();
    const heads = [...element.querySelectorAll('thead th')].map((cell) => text(cell).replace(/ [↑↓]$/, ''));
    return [...element.querySelectorAll('tbody tr, tfoot tr')].map((row) => {
      const cells = [...row.children];
      const numbers = cells.filter((cell) => cell.localName === 'td' && cell.classList.contains('number'));
      const leads = cells.filter((cell) => !numbers.includes(cell)).map(text);
      const names = heads.slice(-numbers.length);
      const first = (cell) => text(cell.querySelector('strong') ?? cell.querySelector('.amount')?.firstChild ?? cell);
      return { lead: leads.join(' | '), cells: numbers.map((cell, at) => [names[at], first(cell), text(cell)]) };
    });
  });
  return rows.map(({ lead, cells }) => {
    const cell = (name) => {
      const found = cells.find(([head]) => head === name);
      assert.ok(found, `no column ${name} in ${JSON.stringify(cells)}`);
      return found;
    };
    const number = (name) => w.number(cell(name)[1]);
    const [input, output, total] = [number(w.input), number(w.output), number(w.total)];
    const [requests, failures] = [number(w.requests), number(w.failures)];
    return { lead, input, output, total, requests, failures, cost: cell(w.cost)[2], doubts: cell(w.total)[2] };
  });
}
