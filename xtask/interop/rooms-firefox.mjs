// sockeye-rooms.js in Firefox: its cases, and the page of example-chat.

import assert from 'node:assert/strict';
import { args, check, interruptServer, script } from './check.mjs';
import { withFirefox } from './firefox.mjs';
import { report, runCases, serveCases } from './rooms-network.mjs';

// The functions below run in the page, so each one holds all that it needs.

/** Waits until an element contains the text. */
function shows({ selector, text, patience }) {
  return new Promise((resolve) => {
    const look = () => document.querySelector(selector)?.textContent.includes(text);
    const end = (found) => {
      clearInterval(timer);
      resolve(found || document.querySelector(selector)?.textContent || 'nothing');
    };
    const timer = setInterval(() => look() && end(true), 20);
    setTimeout(() => end(false), patience);
  });
}

function fill({ field, text, button }) {
  document.getElementById(field).value = text;
  document.getElementById(button).click();
  return null;
}

const PATIENCE = 10_000;

await script('sockeye-rooms.js in Firefox', () =>
  withFirefox(async (browser) => {
    const see = async (page, selector, text) => {
      assert.equal(await page.evaluate(shows, { selector, text, patience: PATIENCE }), true, `${selector} lacks ${text}`);
    };
    await check('the cases', async () => report(await (await browser.open(await serveCases())).evaluate(runCases)));
    const ada = await browser.open(`${args.url}/`);
    await check('a line that is sent comes back with its place', async () => {
      await ada.evaluate(fill, { field: 'name', text: 'Ada', button: 'join' });
      await see(ada, '#people', 'Ada (you)');
      await ada.evaluate(fill, { field: 'text', text: 'Grüße 🐟', button: 'send' });
      await see(ada, '.line.own[data-at]', 'Grüße 🐟');
    });
    await check('another tab has another name, and reads what was said before', async () => {
      const grace = await browser.open(`${args.url}/`);
      await grace.evaluate(fill, { field: 'name', text: 'Grace', button: 'join' });
      await see(grace, '.line[data-at]', 'Grüße 🐟');
      await see(ada, '#people', 'Grace');
    });
    await check('a server that ends is waited for', async () => {
      interruptServer();
      await see(ada, '#status', 'no connection');
    });
  }),
);
