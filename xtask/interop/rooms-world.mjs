// What the cases of sockeye-rooms.js run in: a time that is passed in, and a server that says what the script says. For Node and
// for pages.

import { connect } from './sockeye-rooms.js';

export class World {
  time = 1_700_000_000_000;
  /** What each `random()` gives. */
  random = 0.5;
  timers = [];
  /** The connections that the page has opened, in their order. */
  sockets = [];
  /** All that the page was told, in its order. */
  told = [];

  /** Connects the page; its states and errors are among what it is told. */
  connect(options = {}) {
    const world = this;
    const env = {
      WebSocket: class extends MockSocket {
        constructor(...given) {
          super(world, ...given);
        }
      },
      random: () => this.random,
      now: () => this.time,
      after: (run, ms) => {
        const timer = { run, at: this.time + ms };
        this.timers.push(timer);
        return timer;
      },
      cancel: (timer) => {
        this.timers = this.timers.filter((other) => other !== timer);
      },
    };
    return connect('ws://rooms.test/ws', {
      onState: (state, { ms, code }) => this.told.push([state, ...[ms, code].filter((known) => known !== undefined)].join(' ')),
      onError: (error) => this.told.push(`error ${error.code ?? error.message}`),
      env,
      ...options,
    });
  }

  /** Callbacks that note what a room was told, under its name. */
  notes(name) {
    const note = (text) => this.told.push(`${name} ${text}`);
    return {
      message: (d, { at }) => note(at ? `${d} at ${at}` : `${d}`),
      own: (at) => note(`own at ${at}`),
      joined: (caught) => note(caught),
      gap: () => note('gap()'),
      out: ({ code }) => note(`out ${code}`),
    };
  }

  /** What was told since the last call. */
  news() {
    return this.told.splice(0);
  }

  /** Lets everything happen that waits for nothing but its turn. */
  async settle() {
    for (let turn = 0; turn < 20; turn += 1) await null;
  }

  /** Lets time pass, and what was planned meanwhile happen. */
  async pass(ms) {
    const end = this.time + ms;
    for (;;) {
      await this.settle();
      const [next] = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.timers.splice(this.timers.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.run();
    }
    this.time = end;
  }

  /** The server accepts the page's latest connection. */
  async accept(protocol) {
    await this.settle();
    const socket = this.sockets.at(-1);
    socket.accept(protocol);
    await this.settle();
    return socket;
  }
}

/** The page's end of a connection, and what the server does with it. */
class MockSocket {
  readyState = 0;
  protocol = '';
  /** What the page has sent, and the script has not heard yet. */
  sent = [];

  constructor(world, url, protocol) {
    Object.assign(this, { url, offered: protocol });
    world.sockets.push(this);
  }

  // What the page calls.

  send(text) {
    if (this.readyState !== 1) throw new Error('the socket is not open');
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    // As Node does with a connection that is not open yet.
    if (this.readyState === 0) this.onerror({});
    this.readyState = 2;
    this.closedWith = code;
  }

  // What the script calls.

  accept(protocol = this.offered) {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen({});
  }

  /** What has come since the last call. */
  hears() {
    return this.sent.splice(0);
  }

  says(...frames) {
    for (const frame of frames) this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }

  /** As Node does, which leaves it at an error; browsers close the socket, too. */
  fails() {
    this.onerror({});
  }

  closes(code, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}
