// Node's `ws` as a server for our client. The path says what it does; compression is negotiated if it is offered.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocketServer } from 'ws';

// The code and the reason of the last Close that `/echo` got.
let last = 'none';

// How many connections `/echo` has: what it has got is known when they have ended.
let echoing = 0;

const kinds = {
  echo(socket) {
    echoing += 1;
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on('close', (code, reason) => {
      last = `${code} ${reason}`.trim();
      echoing -= 1;
    });
  },
  close(socket, code) {
    socket.close(Number(code), 'because');
  },
  async pings(socket) {
    for (const payload of ['', 'a', 'x'.repeat(125)]) {
      socket.ping(payload);
      const [answer] = await once(socket, 'pong');
      if (answer.toString() !== payload) throw new Error(`the Pong has ${answer}`);
    }
    socket.send('all Pongs came');
    socket.close(1000);
  },
  fragments(socket) {
    for (let index = 0; index < 50; index += 1) socket.send(`part ${index} 鮭;`, { fin: index === 49 });
    socket.close(1000);
  },
  async last(socket) {
    while (echoing > 0) await delay(10);
    socket.send(last);
    socket.close(1000);
  },
};

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1 << 27, perMessageDeflate: { threshold: 0 } });
server.on('connection', (socket, request) => {
  const [, kind, rest] = request.url.split('/');
  kinds[kind](socket, rest);
});
await once(server, 'listening');
console.log(`listening on ws://127.0.0.1:${server.address().port}`);
