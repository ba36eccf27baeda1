// The way of a responder: log in, ask everybody, see rows while some have not answered, stop, download.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { open, swoop } from './browser.mjs';

const CLIENTS = 30;

let demo, address, browser, page;

before(async () => {
  demo = spawn(swoop, ['demo', '--clients', String(CLIENTS - 1)], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: demo.stdout })) {
    const found = line.match(/http:\/\/\S+/);
    if (found) {
      address = found[0];
      break;
    }
  }
  assert.ok(address, 'the demo printed no address');
  ({ browser, page } = await open());
  page.setDefaultTimeout(30_000);
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  if (demo && demo.exitCode === null) {
    demo.kill('SIGTERM');
    await once(demo, 'exit');
  }
});

const byId = (id) => page.getByTestId(id);
const number = async (id) => Number((await byId(id).innerText()).replace(/\D/g, ''));
/** The number before `word` in the counters. */
const counter = async (word) => {
  const text = (await byId('counters').innerText()).replaceAll(',', '').replace(/\s+/g, ' ');
  const found = text.match(new RegExp(`(\\d+) ${word}`));
  assert.ok(found, `no "${word}" in "${text}"`);
  return Number(found[1]);
};
/** Waits until `check` holds of the counters. */
const until = async (what, check) => {
  const end = Date.now() + 30_000;
  while (!(await check())) {
    assert.ok(Date.now() < end, `${what}: ${await byId('counters').innerText()}`);
    await page.waitForTimeout(50);
  }
};

test('the address logs in once and shows who is online', async () => {
  await page.goto(address);
  await byId('figure-online').waitFor();
  await page.waitForFunction((n) => document.querySelector('[data-testid=status-pill]').innerText.startsWith(`${n} online`), CLIENTS);
  assert.ok(!page.url().includes('once='), 'the token is still in the address');
  // The token is spent: another browser gets the login form.
  const stranger = await browser.newContext();
  const other = await stranger.newPage();
  await other.goto(address);
  await other.getByTestId('login-form').waitFor();
  await stranger.close();
});

test('a mistake in the query is shown under its place', async () => {
  await page.goto(new URL('/live', address).href);
  await byId('editor-text').fill('SELECT * FORM info()');
  await byId('diagnostic').first().waitFor();
  assert.match(await byId('diagnostic').first().innerText(), /FORM/);
  // What endpoints do not know is said before it is asked, too.
  await byId('editor-text').fill('SELECT * FROM pslst()');
  await page.getByText('pslist').first().waitFor();
  assert.match(await byId('diagnostic').first().innerText(), /pslst/);
});

test('what may follow is offered while one types', async () => {
  await byId('editor-text').fill('');
  await byId('editor-text').pressSequentially('SELECT * FROM psl');
  await byId('suggestion').first().waitFor();
  assert.match(await byId('suggestion').first().innerText(), /^pslist/);
  await page.keyboard.press('Tab');
  assert.match(await byId('editor-text').inputValue(), /^SELECT \* FROM pslist\(\)?$/);
  // A new line stays one, whatever is offered.
  await byId('editor-text').fill('SELECT Name FROM pslist() WHER');
  await byId('editor-text').press('End');
  await page.keyboard.press('Control+Space');
  await byId('suggestion').first().waitFor();
  await page.keyboard.press('Enter');
  assert.equal(await byId('editor-text').inputValue(), 'SELECT Name FROM pslist() WHER\n');
  // With the arrows it is a choice.
  await byId('editor-text').fill('SELECT Name FROM pslist() WHER');
  await page.keyboard.press('Control+Space');
  await byId('suggestion').first().waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Enter');
  assert.match(await byId('editor-text').inputValue(), /WHERE *$/);
  await byId('suggestions').waitFor({ state: 'detached' });
});

test('rows come before the last client has answered; stop; download', async () => {
  // All answer but those of the swarm whose number ends in 7, which sleep.
  const query = `SELECT Hostname, sleep(ms=if(condition=Hostname =~ '-00.7$', then=120000, else=0)) AS Slept FROM info()`;
  await byId('editor-text').fill(query);
  await byId('run').click();
  await byId('row').first().waitFor();
  await until('all were asked', async () => (await counter('sent')) === CLIENTS);
  await until('the quick ones answered', async () => (await counter('answered')) === CLIENTS - 3);
  assert.equal(await counter('waiting'), 3, 'three are still at it');
  assert.equal(await counter('rows'), CLIENTS - 3);
  assert.match(page.url(), /H\.[0-9A-V]{13}/, 'the address is that of the hunt');

  await byId('stop').click();
  await until('the stopped ones are told apart', async () => (await counter('failed')) === 3);
  assert.equal(await counter('answered'), CLIENTS - 3);
  assert.match(await byId('hunt-state').innerText(), /stopped/);

  const download = async (id) => {
    const [file] = await Promise.all([page.waitForEvent('download'), byId(id).click()]);
    return (await readFile(await file.path(), 'utf8')).trimEnd().split('\n');
  };
  const rows = (await download('download-jsonl')).map((line) => JSON.parse(line));
  assert.equal(rows.length, CLIENTS - 3);
  assert.equal(new Set(rows.map((row) => row.ClientId)).size, CLIENTS - 3, 'a row for each client');
  assert.ok(rows.every((row) => !/-00.7$/.test(row.Hostname)));
  const csv = await download('download-csv');
  assert.equal(csv.length, CLIENTS - 3 + 1);
  assert.match(csv[0], /^Hostname,Slept,/);
});

test('the same address shows the same hunt to somebody else who is logged in', async () => {
  await page.reload();
  await byId('row').first().waitFor();
  assert.equal(await counter('answered'), CLIENTS - 3);
});

test('clients are found, and a client answers by itself', async () => {
  await page.goto(new URL('/clients?q=os:linux', address).href);
  await byId('client-link').first().waitFor();
  assert.equal(await number('clients-total'), CLIENTS);
  await byId('client-link').first().click();
  await byId('client-name').waitFor();
  await byId('editor-text').fill('SELECT 1 + 1 AS Two FROM scope()');
  await byId('run').click();
  await page.getByTestId('flow-panel').getByTestId('row').first().waitFor();
});
