// What stands between pages and a server: the files of the cases, and a network that can be cut.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';

const FILES = ['sockeye-rooms.js', 'rooms-world.mjs', 'rooms-cases.mjs'];

/** Serves the cases to a browser, and returns the address of an empty page beside them. */
export async function serveCases() {
  const server = createHttpServer(async (request, response) => {
    const name = request.url.slice(1);
    const isFile = FILES.includes(name);
    response.setHeader('content-type', isFile ? 'text/javascript' : 'text/html');
    response.end(isFile ? await readFile(new URL(name, import.meta.url)) : '<!doctype html><link rel="icon" href="data:,">');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/`;
}

/** Runs in the page that `serveCases` serves. */
export const runCases = async () => (await import('/rooms-cases.mjs')).run();

/** Prints what became of the cases, and fails if one of them did. */
export function report(results) {
  const failed = results.filter(({ error }) => error);
  for (const { name, error } of failed) console.log(`  FAILED: ${name}\n${error}`);
  if (results.length === 0 || failed.length > 0) throw new Error(`${failed.length} of ${results.length} cases failed`);
  console.log(`  ${results.length} cases of sockeye-rooms.js`);
}

/** The cable between a page and the server. */
export class Network {
  #sockets = new Set();

  /** To the server at this address, which may change. */
  static async to(url) {
    const network = new Network();
    network.target = url;
    network.server = createServer((near) => network.#carry(near));
    await network.#listen(0);
    network.url = `http://127.0.0.1:${network.server.address().port}`;
    return network;
  }

  /** Ends all connections, and lets no new one through. */
  async cut() {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.server, 'close');
  }

  async heal() {
    await this.#listen(Number(new URL(this.url).port));
  }

  async #listen(port) {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
  }

  #carry(near) {
    const { hostname, port } = new URL(this.target);
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      this.#sockets.add(socket);
      socket.pipe(other);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
