// Chromium at a page that example-echo serves, or example-tls.

import assert from 'node:assert/strict';
import { saysGoodbye, screenshot, withBrowser } from './browser.mjs';
import { TEXTS, args, check, script, wsUrl } from './check.mjs';

// The functions below run in the page, so each one holds all that it needs.

/** What comes back for each text, one after the other. */
function echoTexts({ url, texts }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const answers = [];
    socket.onopen = () => texts.forEach((text) => socket.send(text));
    socket.onmessage = ({ data }) => {
      if (answers.push(data) < texts.length) return;
      socket.onclose = () => resolve(answers);
      socket.close();
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code} after ${answers.length} answers`));
  });
}

/** Whether bytes of this length come back as they were. */
function echoBytes({ url, length, asBlob }) {
  return new Promise((resolve, reject) => {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff);
    const socket = new WebSocket(url);
    socket.binaryType = asBlob ? 'blob' : 'arraybuffer';
    socket.onopen = () => socket.send(asBlob ? new Blob([bytes]) : bytes);
    socket.onmessage = async ({ data }) => {
      const answer = new Uint8Array(asBlob ? await data.arrayBuffer() : data);
      socket.onclose = null;
      socket.close();
      resolve(answer.length === length && answer.every((byte, index) => byte === bytes[index]));
    };
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
  });
}

/** How a connection ends that the page closes like this. */
function closeWith({ url, code, reason }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.close(code, reason);
    socket.onclose = ({ code, wasClean }) => resolve({ code, wasClean });
  });
}

/** Whether a page of this origin may connect at all. */
function mayConnect({ url }) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve(true);
    socket.onclose = () => resolve(false);
  });
}

await script('Chromium', () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    await page.goto(`${args.url}/`);
    await screenshot(page, 'echo');
    const url = wsUrl;

    if (args.url.startsWith('https')) {
      // A page over HTTP/2 opens its WebSockets on the same connection, since the server allows it (RFC 8441).
      await check('the page came over HTTP/2', async () => {
        const protocol = await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol);
        assert.equal(protocol, 'h2');
      });
    }
    await check('text', async () => {
      assert.deepEqual(await page.evaluate(echoTexts, { url, texts: TEXTS }), TEXTS);
    });
    await check('a text of 1 MiB', async () => {
      const texts = ['ö'.repeat(1 << 19)];
      assert.deepEqual(await page.evaluate(echoTexts, { url, texts }), texts);
    });
    await check('10,000 messages in a row keep their order', async () => {
      const texts = Array.from({ length: 10_000 }, (_, index) => `message ${index}`);
      assert.deepEqual(await page.evaluate(echoTexts, { url, texts }), texts);
    });
    await check('binary, of every length around a change of the header', async () => {
      for (const length of [0, 1, 125, 126, 65_535, 65_536, 1 << 20]) {
        assert.ok(await page.evaluate(echoBytes, { url, length, asBlob: false }), `${length} bytes`);
      }
      assert.ok(await page.evaluate(echoBytes, { url, length: 100_000, asBlob: true }), 'a Blob');
    });
    await check('a Close is answered, and clean', async () => {
      for (const code of [1000, 3000, 4999]) {
        const end = await page.evaluate(closeWith, { url, code, reason: 'därum' });
        assert.deepEqual(end, { code, wasClean: true });
      }
      assert.ok((await page.evaluate(closeWith, { url })).wasClean);
    });
    await check('a page of another origin is refused, and one of the same is not', async () => {
      const elsewhere = await context.newPage();
      // The same server under another name: for the browser that is another origin.
      const other = args.url.replace('127.0.0.1', 'localhost');
      await elsewhere.goto(`${other}/`);
      assert.equal(await elsewhere.evaluate(mayConnect, { url }), false);
      assert.equal(await elsewhere.evaluate(mayConnect, { url: url.replace('127.0.0.1', 'localhost') }), true);
      // A page without an origin sends `null`.
      await elsewhere.goto('about:blank');
      assert.equal(await elsewhere.evaluate(mayConnect, { url }), false);
      await elsewhere.close();
    });
    await check('a server that ends says 1001', () => saysGoodbye(page));
  }),
);
