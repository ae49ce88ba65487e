// Chromium, driven by Playwright, with a profile of its own that is empty.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PATIENCE, args, interruptServer, wsUrl } from './check.mjs';

const launch = {
  executablePath: args.chromium,
  headless: true,
  chromiumSandbox: false,
  // Everything that would look for a host on the network is off.
  args: [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // The certificate of example-tls, which nobody has signed.
    ...(args.url.startsWith('https') ? ['--ignore-certificate-errors'] : []),
  ],
};

const viewport = { width: 900, height: 640 };

/** Runs `use` with a browser, and ends it. */
export async function withBrowser(use) {
  const context = await chromium.launchPersistentContext(join(args.output, 'profile'), { ...launch, viewport });
  context.setDefaultTimeout(PATIENCE);
  try {
    return await use(context);
  } finally {
    await context.close();
  }
}

/** Runs `use` with a function that gives browsers, each with cookies of its own, and ends them. */
export async function withBrowsers(use) {
  const browser = await chromium.launch(launch);
  try {
    return await use(async (options = {}) => {
      const context = await browser.newContext({ viewport, ...options });
      context.setDefaultTimeout(PATIENCE);
      return context;
    });
  } finally {
    await browser.close();
  }
}

/** A picture of the page, under the output folder. */
export async function screenshot(page, name) {
  await page.screenshot({ path: join(args.output, `${name}.png`) });
}

/** Interrupts the server while a page has a WebSocket to it that works, and sees that the page is told 1001. */
export async function saysGoodbye(page) {
  await page.evaluate((url) => {
    window.end = new Promise((resolve) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.send('hello');
      socket.onmessage = () => document.documentElement.setAttribute('data-open', '');
      socket.onclose = ({ code, wasClean }) => resolve({ code, wasClean });
    });
  }, wsUrl);
  await page.waitForSelector('[data-open]');
  interruptServer();
  assert.deepEqual(await page.evaluate(() => window.end), { code: 1001, wasClean: true });
}
