// Firefox at a page of example-echo, whose server closes: the end must be clean, directly and behind nginx.

import assert from 'node:assert/strict';
import { PATIENCE, args, check, interruptServer, script } from './check.mjs';
import { withFirefox } from './firefox.mjs';

/** What an application says, an error of the server, a normal end, and a server that goes away. */
const CODES = [4000, 4002, 1011, 1000, 1001];

/** What the handler does behind its Close: it hears the page out, or drops its socket. */
const MANNERS = ['close', 'drop'];

// The functions below run in the page, so each one holds all that it needs.

/** How the connections end that the server closes, all at once, and what was said before. */
function ends({ paths, patience }) {
  const end = (path) =>
    new Promise((resolve) => {
      const url = new URL(path, location.href);
      url.protocol = 'ws';
      const socket = new WebSocket(url);
      const messages = [];
      socket.onmessage = ({ data }) => messages.push(data);
      socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean, messages });
      setTimeout(() => resolve({ code: 'no end', wasClean: false, messages }), patience);
    });
  return Promise.all(paths.map(end));
}

/** Opens a connection that works, whose end is kept. */
function stayOpen() {
  return new Promise((resolve, reject) => {
    const url = new URL('/ws', location.href);
    url.protocol = 'ws';
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = ({ data }) => resolve(data);
    socket.onerror = () => reject(new Error(`no connection to ${url}`));
    window.end = new Promise((ended) => {
      socket.onclose = ({ code, wasClean }) => ended({ code, wasClean });
    });
  });
}

const shown = ({ code, wasClean }) => `${code}, ${wasClean ? 'clean' : 'NOT CLEAN'}`;

await script('Firefox at example-echo', () =>
  withFirefox(async (browser) => {
    const pages = { directly: await browser.open(`${args.url}/`), 'through nginx': await browser.open(`${args.nginx}/`) };
    const found = [];
    for (const manner of MANNERS) {
      for (const [way, page] of Object.entries(pages)) {
        const seen = await page.evaluate(ends, { paths: CODES.map((code) => `/${manner}/${code}`), patience: PATIENCE / 2 });
        for (const [index, code] of CODES.entries()) {
          const expected = { code, reason: 'as asked', wasClean: true, messages: [`closing with ${code}`] };
          found.push({ name: `/${manner}/${code}, ${way}`, end: seen[index], expected });
        }
      }
    }
    for (const page of Object.values(pages)) assert.equal(await page.evaluate(stayOpen), 'hello');
    interruptServer();
    for (const [way, page] of Object.entries(pages)) {
      const end = await page.evaluate(() => window.end);
      found.push({ name: `a server that ends, ${way}`, end, expected: { code: 1001, wasClean: true } });
    }

    // All that there is to see, before the first that is wrong ends the script.
    for (const { name, end } of found) console.log(`  ${name.padEnd(36)} ${shown(end)}`);
    for (const { name, end, expected } of found) await check(name, () => assert.deepEqual(end, expected));
  }),
);
