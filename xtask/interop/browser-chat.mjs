// Chromium at example-chat: two people in two tabs, and two rooms.

import assert from 'node:assert/strict';
import { screenshot, withBrowser } from './browser.mjs';
import { PATIENCE, args, check, interruptServer, script } from './check.mjs';

/** What went wrong in a page, in its own words. */
const pageErrors = [];

/** Runs in the page, before its own scripts: keeps the codes that its connections ended with. */
function noteEnds() {
  window.ends = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener('close', ({ code }) => window.ends.push(code));
    }
  };
}

/** Opens a tab, and enters under this name. */
async function enter(context, name) {
  const page = await context.newPage();
  page.on('pageerror', (error) => pageErrors.push(`${name}: ${error.message}`));
  await page.addInitScript(noteEnds);
  await page.goto(`${args.url}/`);
  await page.fill('#name', name);
  await page.click('#join');
  await shows(page, '#people', name);
  return page;
}

/** Waits until the element contains the text. */
function shows(page, selector, text) {
  const has = ({ selector, text }) => document.querySelector(selector)?.textContent.includes(text);
  return page.waitForFunction(has, { selector, text }, { timeout: PATIENCE });
}

/** Waits until it does not. */
function lacks(page, selector, text) {
  const has = ({ selector, text }) => !document.querySelector(selector)?.textContent.includes(text);
  return page.waitForFunction(has, { selector, text }, { timeout: PATIENCE });
}

async function say(page, text, withEnter = false) {
  await page.fill('#text', text);
  if (withEnter) await page.press('#text', 'Enter');
  else await page.click('#send');
}

await script('Chromium at example-chat', () =>
  withBrowser(async (context) => {
    let ada;
    let grace;

    await check('two people enter, and see each other', async () => {
      ada = await enter(context, 'Ada');
      grace = await enter(context, 'Grace');
      await shows(ada, '#people', 'Grace');
      await shows(grace, '#people', 'Ada');
    });
    await check('what one types the other reads', async () => {
      await say(ada, 'Grüße von Ada 🐟');
      await shows(grace, '#log', 'Grüße von Ada 🐟');
      await shows(ada, '#log', 'Grüße von Ada 🐟');
      await say(grace, 'Hello from Grace', true);
      await shows(ada, '#log', 'Hello from Grace');
    });
    await check('what looks like a tag is shown, and does nothing', async () => {
      const tag = '<img src="x" onerror="document.title = 1"><b>bold</b>';
      await say(ada, tag);
      await shows(grace, '#log', tag);
      assert.equal(await grace.locator('#log img, #log b:text-is("bold")').count(), 0);
    });
    await screenshot(ada, 'ada');
    await screenshot(grace, 'grace');
    await check('who comes later reads what was said before', async () => {
      const late = await enter(context, 'Barbara');
      await shows(late, '#log', 'Hello from Grace');
      await late.close();
    });
    await check('another room has people and lines of its own', async () => {
      await ada.fill('#other', 'harbour');
      await ada.press('#other', 'Enter');
      await shows(ada, '#tabs [aria-selected=true]', 'harbour');
      await lacks(ada, '#people', 'Grace');
      await say(grace, 'Is anybody in the lobby?');
      await shows(ada, '#tabs .unread', '1');
      await say(ada, 'Only the harbour hears this');
      await shows(ada, '#log', 'Only the harbour hears this');
      await lacks(ada, '#log', 'Is anybody in the lobby?');
      await screenshot(ada, 'two-rooms');
      await ada.click('#tabs :text("lobby")');
      await shows(ada, '#log', 'Is anybody in the lobby?');
      await lacks(ada, '#tabs', '1');
      await say(ada, 'I am back');
      await shows(grace, '#log', 'I am back');
      await lacks(grace, '#log', 'Only the harbour hears this');
    });
    await check('a name that is taken in a room is refused there, and free in another room', async () => {
      const other = await context.newPage();
      other.on('pageerror', (error) => pageErrors.push(`other: ${error.message}`));
      await other.goto(`${args.url}/`);
      await other.fill('#name', 'Grace');
      await other.click('#join');
      await shows(other, '#error', 'somebody named Grace already');
      await other.fill('#first', 'lighthouse');
      await other.click('#join');
      await shows(other, '#people', 'Grace');
      await other.fill('#other', 'lobby');
      await other.press('#other', 'Enter');
      await shows(other, '#error', 'somebody named Grace already');
      await shows(other, '#tabs [aria-selected=true]', 'lighthouse');
      await other.close();
    });
    await check('who leaves is gone from the list', async () => {
      await lacks(ada, '#people', 'Barbara');
      await grace.close();
      await lacks(ada, '#people', 'Grace');
    });
    await check('a server that ends says 1001', async () => {
      interruptServer();
      await ada.waitForFunction(() => window.ends.includes(1001));
    });
    await screenshot(ada, 'after-the-end');
    assert.deepEqual(pageErrors, [], 'the page fails');
  }),
);
