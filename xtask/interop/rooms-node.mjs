// sockeye-rooms.js under Node: its cases, its types, and Node's own WebSocket at example-chat.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { args, check, interruptServer, script } from './check.mjs';
import { run } from './rooms-cases.mjs';
import { Network, report } from './rooms-network.mjs';
import { connect } from './sockeye-rooms.js';

// Before Node 22, its WebSocket is behind a flag.
const flag = '--experimental-websocket';
if (!globalThis.WebSocket && process.allowedNodeEnvironmentFlags.has(flag)) {
  const { status } = spawnSync(process.execPath, [flag, '--no-warnings', ...process.argv.slice(1)], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
if (!globalThis.WebSocket) throw new Error(`Node ${process.version} has no WebSocket; version 20.10 has one, behind ${flag}`);

/** Node's WebSocket with a cookie, which a browser would send by itself. */
function withName(name) {
  return class extends globalThis.WebSocket {
    constructor(url, protocol) {
      super(url, { protocols: protocol, headers: { cookie: `name=${name}` } });
    }
  };
}

/** A visitor of the chat, who notes what he is told. */
class Visitor {
  heard = [];
  #waiting = [];

  constructor(name, url) {
    const hear = (what) => {
      this.heard.push(what);
      this.#look();
    };
    this.rooms = connect(`${url}/ws`, { env: { WebSocket: withName(name) }, onState: (state) => hear(state) });
    this.room = this.rooms.join('chat:7', {
      message: ({ name, text }) => hear(`${name}: ${text}`),
      joined: (caught) => hear(caught),
      who: (people) => hear(`who ${people.map(({ key }) => key).sort().join(' ')}`),
    });
  }

  /** Waits until all of these have been heard, in any place. */
  async hears(...expected) {
    while (!expected.every((what) => this.heard.includes(what))) await new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The lines, in their order. */
  lines() {
    return this.heard.filter((what) => what.includes(': '));
  }

  #look() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

await script(`sockeye-rooms.js in Node ${process.version}`, async () => {
  await check('the cases', async () => report(await run()));
  await check('the types', () => {
    const compiler = fileURLToPath(import.meta.resolve('typescript/bin/tsc'));
    const options = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom'];
    const { status, stdout } = spawnSync(process.execPath, [compiler, ...options, 'rooms-types.ts'], {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
  });

  const network = await Network.to(args.url);
  const ada = new Visitor('Ada', args.url);
  const grace = new Visitor('Grace', network.url);
  await check('two talk, and see each other', async () => {
    await Promise.all([ada.hears('fresh', 'who Ada Grace'), grace.hears('fresh', 'who Ada Grace')]);
    const at = await ada.room.say({ text: 'hello' });
    await Promise.all([ada.hears('Ada: hello'), grace.hears('Ada: hello')]);
    assert.equal(grace.room.at, at);
  });
  await check('a cut loses nothing, on either side', async () => {
    await network.cut();
    await grace.hears('waiting');
    const queued = grace.room.say({ text: 'said without a network' });
    for (let i = 1; i <= 20; i += 1) await ada.room.say({ text: `missed ${i}` });
    await network.heal();
    await grace.hears('whole');
    await queued;
    const missed = Array.from({ length: 20 }, (_, index) => `Ada: missed ${index + 1}`);
    const expected = ['Ada: hello', ...missed, 'Grace: said without a network'];
    await Promise.all([ada, grace].map((each) => each.hears(expected.at(-1))));
    for (const each of [ada, grace]) assert.deepEqual(each.lines(), expected);
  });
  await check('a name that is taken is no connection', async () => {
    const other = new Visitor('ada', args.url);
    await other.hears('waiting');
    assert.deepEqual(other.heard, ['connecting', 'waiting']);
    other.rooms.close();
  });
  await check('a server that ends is waited for', async () => {
    const socket = new (withName('Barbara'))(`${args.url}/ws`, 'sockeye.rooms.v1');
    const messages = [];
    socket.onmessage = ({ data }) => messages.push(JSON.parse(data));
    await once(socket, 'open');
    // With an answer, the handler has begun.
    socket.send(JSON.stringify({ t: 'join', rooms: { 'chat:8': null } }));
    await once(socket, 'message');
    interruptServer();
    const [{ code }] = await once(socket, 'close');
    assert.equal(code, 1001);
    assert.ok(messages.some(({ t, ms }) => t === 'later' && ms.length === 2), JSON.stringify(messages));
    ada.rooms.close();
    grace.rooms.close();
  });
});
