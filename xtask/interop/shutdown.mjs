// Node's `ws` at example-shutdown, behind nginx: every client of a server that ends is told 1001, and ends clean.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import WebSocket from 'ws';
import { args, check, interruptServer, script } from './check.mjs';

const CLIENTS = 40;

/** What the handler at `/goodbye` says, as in examples/shutdown. */
const GOODBYE = 'back in a minute';

/** A client that has been echoed to, and how it ends. */
async function open(index) {
  const path = index % 2 === 0 ? '/ws' : '/goodbye';
  const socket = new WebSocket(`${args.nginx.replace(/^http/, 'ws')}${path}`);
  const messages = [];
  const failures = [];
  socket.on('message', (data) => messages.push(data.toString()));
  socket.on('error', (error) => failures.push(error.message));
  await once(socket, 'open');
  // `ws` keeps it to itself when the stream fails behind a Close.
  socket._socket.on('error', (error) => failures.push(error.message));
  const end = new Promise((resolve) => {
    socket.addEventListener('close', ({ code, wasClean }) => {
      resolve({ path, code, wasClean, failures, messages: messages.slice(1) });
    });
  });
  const echo = once(socket, 'message');
  socket.send(`client ${index}`);
  assert.equal((await echo)[0].toString(), `client ${index}`);
  return { end };
}

await script("Node's ws at example-shutdown, behind nginx", async () => {
  let clients;
  await check(`${CLIENTS} clients are echoed to`, async () => {
    clients = await Promise.all(Array.from({ length: CLIENTS }, (_, index) => open(index)));
  });
  await check(`${CLIENTS} clients are told 1001, and end clean`, async () => {
    interruptServer();
    const ends = await Promise.all(clients.map(({ end }) => end));
    const counts = {};
    for (const { code, wasClean, failures } of ends) {
      const end = [code, wasClean ? 'clean' : 'NOT CLEAN', ...failures].join(', ');
      counts[end] = (counts[end] ?? 0) + 1;
    }
    console.log(`  ${Object.entries(counts).map(([end, count]) => `${count} × ${end}`).join('; ')}`);
    for (const { path, ...end } of ends) {
      const messages = path === '/goodbye' ? [GOODBYE] : [];
      assert.deepEqual(end, { code: 1001, wasClean: true, failures: [], messages }, path);
    }
  });
});
