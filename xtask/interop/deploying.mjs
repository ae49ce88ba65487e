// Node's `ws` behind the proxies that the guide's page Deploying configures: what the page says about each of them,
// and the code that the guide gives to a page that must reconnect.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket, { WebSocketServer } from 'ws';
import { args, check, interruptServer, script } from './check.mjs';

/** For how long nothing happens. The proxies that give up on silence do so after 60 s. */
const SILENCE = 70_000;

/** The proxies that never give up on silence. */
const PATIENT = ['caddyfile'];

/** The clients of each proxy when the server is shut down. */
const CLIENTS = 4;

/**
 * Each proxy has a name and, for each of the three servers, the address of the proxy in front. `reconnect` is the code that the
 * guide gives to pages.
 */
const { proxies, reconnect } = JSON.parse(args.input);

/** A client that is open, and a promise of how it ends. */
async function open(url, options = {}) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, options);
  const end = new Promise((resolve) => {
    socket.addEventListener('close', ({ code, wasClean }) => resolve({ code, wasClean, at: Date.now() }));
  });
  await once(socket, 'open');
  socket.on('error', () => {});
  return { socket, end };
}

/** The status with which the server refuses. */
async function refused(url, options) {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, options);
  socket.on('error', () => {});
  socket.on('open', () => socket.emit('unexpected-response', null, { statusCode: 101 }));
  const [, { statusCode }] = await once(socket, 'unexpected-response');
  socket.terminate();
  return statusCode;
}

async function echo({ socket }, text) {
  const answer = once(socket, 'message');
  socket.send(text);
  assert.equal((await answer)[0].toString(), text);
}

/** Runs the page's code with a server that ends each connection in its own way. Returns what the page has done. */
async function reconnects(endings) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const url = 'wss://example.com/ws';
  assert.ok(reconnect.includes(url), `the listing does not connect to ${url}`);
  const code = reconnect.replace(url, `ws://127.0.0.1:${server.address().port}`);
  const shown = [];
  const waits = [];
  const later = (callback, wait, ...rest) => {
    waits.push(wait);
    return setTimeout(callback, 0, ...rest);
  };
  // Half of the longest wait, each time.
  const chance = { min: Math.min, random: () => 0.5 };
  let left = endings.length;
  const over = new Promise((resolve) => {
    server.on('connection', (socket) => {
      socket.on('close', () => {
        left -= 1;
        if (left === 0) resolve();
      });
      endings[endings.length - left](socket);
    });
  });
  const run = new Function('WebSocket', 'setTimeout', 'Math', 'show', `${code}; connect();`);
  run(WebSocket, later, chance, (data) => shown.push(data));
  await over;
  // Whatever the page still does.
  await sleep(500);
  server.close();
  return { shown, waits };
}

await script("Node's ws behind the proxies of the guide", async () => {
  const counted = {};
  const silent = {};
  for (const [index, { name, counting }] of proxies.entries()) {
    await check(`${name}: a page of the proxy's address is let in`, async () => {
      // Each claims to be somebody else.
      const headers = { 'X-Forwarded-For': `192.0.2.${index}` };
      counted[name] = await open(counting, { origin: counting, headers });
      await echo(counted[name], 'hello');
    });
    await check(`${name}: a page of another site gets a 403`, async () => {
      assert.equal(await refused(counting, { origin: 'https://evil.example' }), 403);
    });
  }
  for (const { name, counting } of proxies) {
    await check(`${name}: clients are counted by their address, whatever they claim`, async () => {
      const headers = { 'X-Forwarded-For': '192.0.2.100' };
      assert.equal(await refused(counting, { origin: counting, headers }), 429);
      // From another address, whose place is free again afterwards.
      const other = await open(counting, { origin: counting, localAddress: '127.0.0.2' });
      await echo(other, 'from another address');
      other.socket.close();
      await other.end;
    });
  }
  for (const { name, silent: url } of proxies) {
    silent[name] = await open(url);
  }
  const began = Date.now();

  await check(`${CLIENTS} clients of each proxy are told 1001 at a shutdown, and end clean`, async () => {
    const urls = proxies.flatMap(({ ending }) => Array(CLIENTS).fill(ending));
    const clients = await Promise.all(urls.map((url) => open(url)));
    interruptServer();
    for (const { end } of clients) {
      const { code, wasClean } = await end;
      assert.deepEqual({ code, wasClean }, { code: 1001, wasClean: true });
    }
  });

  await check('the page of the guide waits longer with each failure, and a message is a success', async () => {
    const { shown, waits } = await reconnects([
      (socket) => socket.close(1013),
      (socket) => socket.terminate(),
      (socket) => socket.close(1013),
      (socket) => {
        socket.send('hello');
        socket.close(1001);
      },
      (socket) => socket.close(1000),
    ]);
    assert.deepEqual(shown, ['hello']);
    assert.deepEqual(waits, [500, 1_000, 2_000, 500]);
  });
  for (const code of [1000, 1008, 4401]) {
    await check(`the page of the guide does not come back after ${code}`, async () => {
      const { waits } = await reconnects([(socket) => socket.close(code)]);
      assert.deepEqual(waits, []);
    });
  }

  await sleep(Math.max(0, began + SILENCE - Date.now()));
  for (const { name } of proxies) {
    await check(`${name}: with Pings, a client is still open after ${SILENCE / 1000} s of silence`, async () => {
      await echo(counted[name], 'still here');
    });
    if (PATIENT.includes(name)) {
      await check(`${name}: so is a client without Pings`, () => echo(silent[name], 'still here'));
    } else {
      await check(`${name}: without Pings, a client was told 1006 after a minute`, async () => {
        const { code, at } = await silent[name].end;
        const seconds = (at - began) / 1000;
        assert.equal(code, 1006);
        assert.ok(seconds > 58 && seconds < 65, `after ${seconds} s`);
      });
    }
  }
});
