// Node's `ws`, and with it zlib, against example-echo with compression: every parameter that it can send.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import WebSocket from 'ws';
import { check, interruptServer, script, wsUrl } from './check.mjs';

const TEXT = Array.from({ length: 3000 }, (_, index) => `{"id":${index},"name":"鮭 ${index % 17}"},`).join('');
const MESSAGES = ['', 'a', TEXT.slice(0, 300), TEXT.slice(0, 300), TEXT, randomBytes(5000), TEXT, Buffer.alloc(100_000)];

async function talk(parameters) {
  const socket = new WebSocket(wsUrl, { perMessageDeflate: { threshold: 0, ...parameters } });
  await once(socket, 'open');
  assert.equal(socket.extensions, 'permessage-deflate', 'the server did not agree');
  for (const message of MESSAGES) {
    const answer = once(socket, 'message');
    socket.send(message);
    const [data, isBinary] = await answer;
    assert.deepEqual(isBinary ? data : data.toString('utf8'), message);
  }
  const answer = once(socket, 'message');
  for (let start = 0; start < 30_000; start += 997) {
    socket.send(TEXT.slice(start, Math.min(start + 997, 30_000)), { fin: start + 997 >= 30_000 });
    socket.ping();
  }
  assert.equal((await answer)[0].toString('utf8'), TEXT.slice(0, 30_000));
  socket.close();
  assert.equal((await once(socket, 'close'))[0], 1005);
}

await script("Node's zlib", async () => {
  for (const serverNoContextTakeover of [false, true]) {
    for (const clientNoContextTakeover of [false, true]) {
      await check(`no context takeover: ${serverNoContextTakeover}, ${clientNoContextTakeover}`, async () => {
        for (const serverMaxWindowBits of [undefined, 8, 9, 12, 15]) {
          for (const clientMaxWindowBits of [undefined, 9, 12, 15]) {
            const bits = { serverMaxWindowBits, clientMaxWindowBits };
            for (const key of Object.keys(bits)) if (bits[key] === undefined) delete bits[key];
            await talk({ serverNoContextTakeover, clientNoContextTakeover, ...bits });
          }
        }
      });
    }
  }

  await check('a server that ends says 1001', async () => {
    const socket = new WebSocket(wsUrl);
    await once(socket, 'open');
    const end = once(socket, 'close');
    interruptServer();
    assert.equal((await end)[0], 1001);
  });
});
