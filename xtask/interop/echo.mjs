// Node's `ws` against example-echo, and over TLS against example-tls.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { connect as connectTls } from 'node:tls';
import WebSocket from 'ws';
import { TEXTS, args, check, interruptServer, script, tlsOptions, wsUrl } from './check.mjs';

const tls = await tlsOptions();

async function connect() {
  const socket = new WebSocket(wsUrl, tls);
  await once(socket, 'open');
  return socket;
}

/** The next message, as a string or a Buffer. */
async function receive(socket) {
  const [data, isBinary] = await once(socket, 'message');
  return isBinary ? data : data.toString('utf8');
}

async function echo(socket, message) {
  const answer = receive(socket);
  socket.send(message);
  assert.deepEqual(await answer, message);
}

/** How the connection ends: the code and the reason that the server sent. */
async function closed(socket) {
  const [code, reason] = await once(socket, 'close');
  return { code, reason: reason.toString('utf8') };
}

/** Sends bytes that `ws` itself would never send, and gives the code that the server answers with. */
async function answerTo(bytes) {
  const socket = await connect();
  const end = closed(socket);
  socket.on('error', () => {});
  socket._socket.write(bytes);
  return (await end).code;
}

/** A request written by hand, and the head of what comes back. */
async function handshake(lines) {
  const { hostname, port } = new URL(args.url);
  const to = { host: hostname, port: Number(port) };
  const socket = args.tls ? connectTls({ ...to, ...tls }) : createConnection(to);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  let head = '';
  for await (const chunk of socket.setEncoding('latin1')) {
    head += chunk;
    if (head.includes('\r\n\r\n')) break;
  }
  socket.destroy();
  return head;
}

await script(args.tls ? `Node's ws over TLS ${args.tls}` : "Node's ws", async () => {
  await check('text', async () => {
    const socket = await connect();
    for (const text of TEXTS) await echo(socket, text);
    socket.close();
    await closed(socket);
  });

  await check('binary, of every length around a change of the header', async () => {
    const socket = await connect();
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20]) await echo(socket, randomBytes(length));
    socket.terminate();
  });

  await check('a text of 1 MiB', async () => {
    const socket = await connect();
    await echo(socket, 'ö'.repeat(1 << 19));
    socket.terminate();
  });

  await check('a message in many fragments, with a ping between them', async () => {
    const socket = await connect();
    const parts = Array.from({ length: 50 }, (_, index) => `part ${index} 鮭;`);
    const answer = receive(socket);
    const pong = once(socket, 'pong');
    for (const [index, part] of parts.entries()) {
      socket.send(part, { fin: index === parts.length - 1 });
      if (index === 25) socket.ping('between');
    }
    assert.equal((await pong)[0].toString(), 'between');
    assert.equal(await answer, parts.join(''));
    socket.terminate();
  });

  await check('pings with and without a payload', async () => {
    const socket = await connect();
    for (const payload of ['', 'a', 'x'.repeat(125)]) {
      const pong = once(socket, 'pong');
      socket.ping(payload);
      assert.equal((await pong)[0].toString(), payload);
    }
    socket.pong('nobody asked');
    await echo(socket, 'still there');
    socket.terminate();
  });

  await check('10,000 messages in a row keep their order', async () => {
    const socket = await connect();
    const count = 10_000;
    let next = 0;
    const all = new Promise((resolve, reject) => {
      socket.on('message', (data) => {
        if (data.toString() !== `message ${next}`) reject(new Error(`${data} came in the place of message ${next}`));
        next += 1;
        if (next === count) resolve();
      });
      socket.on('close', () => reject(new Error(`the connection ended after ${next} messages`)));
    });
    for (let index = 0; index < count; index += 1) socket.send(`message ${index}`);
    await all;
    socket.terminate();
  });

  await check('the code of a Close comes back', async () => {
    for (const code of [1000, 1001, 1003, 1011, 3000, 4999]) {
      const socket = await connect();
      const end = closed(socket);
      socket.close(code, 'därum');
      assert.equal((await end).code, code);
    }
    const socket = await connect();
    const end = closed(socket);
    socket.close();
    // 1005 stands for a Close without a code.
    assert.ok([1000, 1005].includes((await end).code));
  });

  await check('a broken rule gets the code of that rule', async () => {
    assert.equal(await answerTo(Buffer.from([0x81, 0x01, 0x61])), 1002, 'a frame without a mask');
    assert.equal(await answerTo(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0x61])), 1002, 'a reserved bit');
    assert.equal(await answerTo(Buffer.from([0x83, 0x80, 0, 0, 0, 0])), 1002, 'a reserved opcode');
    assert.equal(await answerTo(Buffer.from([0x80, 0x80, 0, 0, 0, 0])), 1002, 'a continuation of nothing');
    assert.equal(await answerTo(Buffer.from([0x81, 0xfe, 0, 1, 0, 0, 0, 0, 0x61])), 1002, 'a length that is not minimal');
    assert.equal(await answerTo(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])), 1007, 'text that is not UTF-8');
    assert.equal(await answerTo(Buffer.from([0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])), 1009, 'a frame of a terabyte');
  });

  await check('what the handshake says no to', async () => {
    const { host } = new URL(args.url);
    const request = (...changes) => [
      'GET /ws HTTP/1.1', `Host: ${host}`, 'Connection: Upgrade', 'Upgrade: websocket',
      'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...changes,
    ];
    assert.match(await handshake(request()), /^HTTP\/1\.1 101 [^]*s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
    const version = request().map((line) => line.replace('Version: 13', 'Version: 12'));
    assert.match(await handshake(version), /^HTTP\/1\.1 4\d\d [^]*sec-websocket-version: 13/i);
    assert.match(await handshake(request('Origin: http://elsewhere.example')), /^HTTP\/1\.1 403 /);
    assert.match(await handshake(request(`Origin: http://${host}`)), /^HTTP\/1\.1 101 /);
  });

  await check('connections that end without a word leave the server well', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, () => connect()));
    for (const socket of sockets) {
      socket.send('never read');
      socket.terminate();
    }
    const socket = await connect();
    await echo(socket, 'still there');
    socket.terminate();
  });

  await check('a server that ends says 1001 to everybody', async () => {
    const sockets = await Promise.all(Array.from({ length: 10 }, () => connect()));
    const ends = sockets.map(closed);
    interruptServer();
    for (const { code } of await Promise.all(ends)) assert.equal(code, 1001);
  });
});
