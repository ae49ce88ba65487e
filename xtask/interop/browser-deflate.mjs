// Chromium against example-echo with compression. A page cannot say what is offered: it is what the browser offers,
// `permessage-deflate; client_max_window_bits`; what the server agrees to depends on how it was started.

import assert from 'node:assert/strict';
import { saysGoodbye, withBrowser } from './browser.mjs';
import { TEXTS, args, check, script, wsUrl } from './check.mjs';

// The functions below run in the page, so each one holds all that it needs.

/** What the browser was answered. */
function agreement({ url }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve(socket.extensions);
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
}

/** The first message that comes back changed, by its place; sent all at once, so that a context must keep its order. */
function firstChanged({ url, messages }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    let place = 0;
    let changed = null;
    socket.onopen = () => messages.forEach((message) => socket.send(message));
    socket.onmessage = ({ data }) => {
      if (data !== messages[place] && changed === null) changed = place;
      place += 1;
      if (place < messages.length) return;
      socket.onclose = () => resolve(changed);
      socket.close();
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code} after ${place} answers`));
  });
}

/** Whether bytes that nothing can compress, and bytes that compress a thousandfold, come back as they were. */
function echoBytes({ url, length }) {
  return new Promise((resolve, reject) => {
    const noise = new Uint8Array(length);
    for (let start = 0; start < length; start += 65_536) {
      crypto.getRandomValues(noise.subarray(start, Math.min(start + 65_536, length)));
    }
    const sent = [noise, new Uint8Array(length)];
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => sent.forEach((bytes) => socket.send(bytes));
    socket.onmessage = ({ data }) => {
      const answer = new Uint8Array(data);
      const expected = sent.shift();
      if (answer.length !== length || !answer.every((byte, index) => byte === expected[index])) {
        resolve(false);
      } else if (sent.length === 0) {
        socket.onclose = () => resolve(true);
        socket.close();
      }
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
}

const RECORDS = Array.from({ length: 12_000 }, (_, id) => JSON.stringify({ id, name: '紅鮭', tags: ['🐟', `${id % 17}`] }));
const LONG = RECORDS.join();

await script('Chromium with deflate', () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await page.goto(`${args.url}/`);
    const url = wsUrl;

    await check('permessage-deflate is agreed on', async () => {
      const answer = await page.evaluate(agreement, { url });
      assert.match(answer, /^permessage-deflate(;|$)/);
      console.log(`      ${answer}`);
    });
    await check('short texts', async () => {
      assert.equal(await page.evaluate(firstChanged, { url, messages: TEXTS }), null);
    });
    await check('a thousand records in a row', async () => {
      const messages = RECORDS.slice(0, 1000);
      assert.equal(await page.evaluate(firstChanged, { url, messages }), null);
    });
    await check(`texts of ${Math.round(Buffer.byteLength(LONG) / 1024)} KiB`, async () => {
      assert.equal(await page.evaluate(firstChanged, { url, messages: [LONG, LONG, LONG] }), null);
    });
    await check('noise, and zeros', async () => {
      for (const length of [1, 125, 126, 65_535, 65_536, 1 << 20]) {
        assert.ok(await page.evaluate(echoBytes, { url, length }), `${length} bytes`);
      }
    });
    await check('a server that ends says 1001', () => saysGoodbye(page));
  }),
);
