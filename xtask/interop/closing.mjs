// Clients for Node.js in the middle of a message that the server does not take: which close code do they learn?
//
//     node closing.mjs ws|undici|faye URL BYTES TRIES
//
// prints a line for each try: the code, or what came instead of one.

import process from 'node:process';
import Faye from 'faye-websocket';
import { WebSocket as Undici } from 'undici';
import Ws from 'ws';

/** How long one try may take, in milliseconds. */
const PATIENCE = 8_000;

const clients = {
  ws: (url) => new Ws(url),
  undici: (url) => new Undici(url),
  faye: (url) => new Faye.Client(url),
};

const [name, url, bytes, tries] = process.argv.slice(2);
const message = new Uint8Array(Number(bytes)).fill(0x61);

/** The code that the client was closed with. All three have the events of a browser's WebSocket. */
function learn() {
  return new Promise((resolve) => {
    const socket = clients[name](url);
    const late = setTimeout(() => resolve(`nothing in ${PATIENCE / 1000} s`), PATIENCE);
    let failure = '';
    const end = (what) => {
      clearTimeout(late);
      resolve(what);
    };
    socket.onopen = () => socket.send(name === 'faye' ? Buffer.from(message) : message);
    socket.onmessage = () => end('a message came back');
    // An error tells nothing of the Close, and the event for that comes after it.
    socket.onerror = (event) => {
      failure = ` (${event.message || event.error?.message || 'error'})`;
    };
    socket.onclose = ({ code }) => end(code === 1009 ? '1009' : `${code}${failure}`);
  });
}

for (let count = 0; count < Number(tries); count += 1) console.log(await learn());
process.exit(0);
