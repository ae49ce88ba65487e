// What example-echo is compared with: servers with its limits, which show what a client can learn at all.
//
//     node closing-control.mjs ws|patient LIMIT
//
// `ws` is Node's own, which ends its direction right behind its Close, and reads on. `patient` is the least that does
// better: it takes the rest of the frame that is too long, and ends when it has read the Close of the client. To nginx
// the end of one direction is the end of both, and what the client still sends is then answered with a reset.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';
import { WebSocketServer } from 'ws';

const [kind, limit] = process.argv.slice(2);
const maxPayload = Number(limit);

/** RFC 6455 §1.3: what is put behind the key. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A Close with 1009. */
const TOO_BIG = Buffer.from([0x88, 2, 0x03, 0xf1]);

const isClose = (head) => (head[0] & 0x0f) === 8;

function ws(server) {
  new WebSocketServer({ server, maxPayload }).on('connection', (socket) => {
    // Without a listener the message that is too long would end the process.
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
}

function patient(server) {
  server.on('upgrade', (request, stream) => {
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${GUID}`).digest('base64');
    const head = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${accept}`];
    stream.write(`${head.join('\r\n')}\r\n\r\n`);
    stream.on('error', () => {});
    stream.on('end', () => stream.end());

    let held = Buffer.alloc(0);
    let skipped = 0;
    stream.on('data', (data) => {
      const skip = Math.min(skipped, data.length);
      skipped -= skip;
      held = Buffer.concat([held, data.subarray(skip)]);
      // The clients send frames of megabytes, with a header of 14 bytes, and a Close, which may be shorter.
      while (held.length >= 14 && !isClose(held)) {
        const length = 14 + Number(held.readBigUInt64BE(2));
        if (length > maxPayload) stream.write(TOO_BIG);
        skipped = Math.max(0, length - held.length);
        held = held.subarray(length);
      }
      if (held.length >= 6 && isClose(held)) stream.end();
    });
  });
}

const server = createServer();
({ ws, patient })[kind](server);
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
