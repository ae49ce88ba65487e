// Rooms over one WebSocket, by the subprotocol `sockeye.rooms.v1`. For pages and for Node; without dependencies.
//   const rooms = connect('/ws', { token: async () => …, onState: (state, { ms, code, why }) => … });
//   const room = rooms.join('chat:42', { message: (d, { at }) => …, gap: () => reload(), who: (people) => … });
//   await room.say({ text: 'hello' });
// It connects again by itself, and each room goes on behind the last message that was handled. More is in sockeye-rooms.d.ts.

const SUBPROTOCOL = 'sockeye.rooms.v1';
const SILENCE = 40_000; // ms without a frame, after which a connection is taken for dead: the server says `hb` every 25 s
const STEADY = 10_000; // ms: a connection that lasts for so long makes the next waits short again
const REPEATABLE = 240_000; // ms: the server knows an id for 5 minutes, and would say a later repeat again

/** What went wrong: a stable code for programs, and a sentence for people. */
export class RoomsError extends Error {
  constructor(code, why, id) { Object.assign(super(why || String(code)), { name: 'RoomsError', code, id }); }
}

/** Opens the connection, and keeps it open until `close()`, or until the server refuses the page for good. */
export const connect = (url, options) => new Rooms(url, options);

class Rooms {
  state = 'connecting';
  #url; #options; #env; #reconnect; #silence;
  #seats = new Map(); // by the room's name: what the page has joined, or wants to
  #says = new Map(); // by id, in their order: what the page has said without an answer so far
  #leaving = new Set(); // rooms that were left, and whose `out` is still to come
  #link = {}; // the present attempt; whatever an earlier one still says is ignored
  #later = null; // from when to when the server wants us back, in ms
  #attempt = 0; #count = 0;
  // 128 random bits, in 22 characters, so that no two pages use the same id.
  #page = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))))
    .slice(0, 22).replaceAll('+', '-').replaceAll('/', '_');
  // The network, or the page, is back. A server that wants us at another time is not hurried.
  #awake = () => this.state === 'waiting' && !this.#later && globalThis.document?.visibilityState !== 'hidden' && this.#open();

  constructor(url, { env, ...options } = {}) {
    this.#url = new URL(url, globalThis.location?.href).href.replace(/^http/, 'ws');
    this.#options = { onError: (error) => console.error(error), maxUnanswered: 100, ...options };
    // A test brings its own. A browser's timers cannot be called as methods of another object.
    const after = (run, ms) => setTimeout(run, ms), cancel = (timer) => clearTimeout(timer);
    this.#env = { WebSocket: globalThis.WebSocket, random: Math.random, now: Date.now, after, cancel, ...env };
    globalThis.addEventListener?.('online', this.#awake);
    globalThis.document?.addEventListener('visibilitychange', this.#awake);
    queueMicrotask(() => this.state === 'connecting' && this.#open()); // nothing is called back before `connect` has returned
  }

  /** Joins a room, behind the position `since` if there is one. Joins of the same moment go out in one frame. */
  join(name, { since = null, ...on } = {}) {
    if (this.state === 'closed') throw new RoomsError('closed', `the connection is closed; ${name} cannot be joined`);
    if (this.#seats.has(name)) throw new RoomsError('joined_already', `the room ${name} is joined already`);
    const seat = { name, on, at: since, isIn: false, wasIn: false, people: new Map(), link: null };
    this.#seats.set(name, seat);
    queueMicrotask(() => this.#sendJoins());
    return {
      name,
      get at() { return seat.at; }, get isIn() { return seat.isIn; },
      say: (d, options) => this.#say(seat, d, options),
      volatile: (d, { others = false } = {}) => seat.isIn && this.#send({ t: 'say', room: name, d, volatile: true, others }),
      leave: () => this.#leave(seat),
    };
  }

  /** Closes the connection for good. What has no answer so far fails with the code `closed`. */
  close() { if (this.state !== 'closed') this.#end('closed', 'the page has closed the connection'); }

  // ---- the connection
  #open() {
    const link = this.#drop();
    this.#heard();
    this.#tell('connecting');
    this.#withToken(link, (token) => {
      const socket = (link.socket = new this.#env.WebSocket(this.#url, SUBPROTOCOL));
      const ifPresent = (run) => (event) => link === this.#link && this.#call(run, event);
      socket.onopen = ifPresent(() => {
        if (socket.protocol !== SUBPROTOCOL) return this.#end('protocol', `the server does not speak ${SUBPROTOCOL}`);
        link.opened = this.#env.now();
        if (token != null) this.#send({ t: 'auth', token });
        this.#sendJoins();
        this.#tell('open');
      });
      socket.onmessage = ifPresent(({ data }) => this.#received(link, JSON.parse(data)));
      socket.onerror = ifPresent(() => isNaN(link.opened) && this.#lost(1006)); // Node says no more of a failed attempt
      socket.onclose = ifPresent(({ code, reason }) => this.#lost(code, reason));
    });
  }

  /** Runs with a fresh token: an old one may have expired while the page slept. */
  async #withToken(link, run) {
    try {
      const token = await this.#options.token?.();
      if (link === this.#link) run(token);
    } catch (error) {
      if (link === this.#link) this.#lost('no_token', error?.message);
      this.#options.onError(error);
    }
  }

  #lost(code, why) {
    const { opened, isAccepted } = this.#link;
    // Unauthorized: a fresh token helps only if the last one was good once. Forbidden: no token helps.
    if (code === 3003 || (code === 3000 && !isAccepted)) return this.#end(code, why);
    this.#drop();
    for (const say of this.#says.values()) {
      // Sent again, what is too large would close each connection.
      if (code === 1009 && say.sent) this.#settle(say, 'too_large', 'one of the messages was too large for the server');
      else if (this.#seats.get(say.seat.name) !== say.seat) this.#settle(say, 'uncertain', 'the connection was lost');
    }
    if (this.#env.now() - opened >= STEADY) this.#attempt = 0;
    // Full jitter: a thousand pages that were cut off in one moment come back one by one.
    const [from, to] = this.#later ?? [0, Math.min(30_000, 1000 * 2 ** this.#attempt++)];
    const ms = Math.round(from + this.#env.random() * (to - from));
    this.#reconnect = this.#env.after(() => { this.#later = null; this.#open(); }, ms);
    this.#tell('waiting', { ms, code, why });
  }

  #end(code, why) {
    this.#drop();
    globalThis.removeEventListener?.('online', this.#awake);
    globalThis.document?.removeEventListener('visibilitychange', this.#awake);
    for (const say of this.#says.values()) this.#settle(say, 'closed', why);
    this.#seats.clear();
    this.#tell('closed', { code, why });
  }

  /** Ends the present attempt, without waiting for an answer to its Close, and gives the next one. */
  #drop() {
    const { socket } = this.#link, link = (this.#link = { socket: null, opened: NaN, isAccepted: false });
    for (const timer of [this.#reconnect, this.#silence]) this.#env.cancel(timer);
    for (const seat of this.#seats.values()) seat.isIn = false;
    this.#leaving.clear();
    if (socket?.readyState < 2) socket.close(1000); // which may call back at once
    return link;
  }

  /** A page cannot see the server's Pings, so it counts the time from one frame to the next. */
  #heard() {
    this.#env.cancel(this.#silence);
    this.#silence = this.#env.after(() => this.#lost('silence', 'the server has said nothing for too long'), SILENCE);
  }

  #send(frame) {
    const isOpen = this.#link.socket?.readyState === 1;
    if (isOpen) this.#link.socket.send(frame.text ?? JSON.stringify(frame));
    return isOpen;
  }
  #tell(state, info = {}) { this.#call(this.#options.onState, (this.state = state), info); }
  /** Calls back. What the page throws is told, and stops nothing. */
  #call(back, ...given) { try { back?.(...given); } catch (error) { this.#options.onError(error); } }

  // ---- what the server says
  #received(link, frame) {
    const { t, room, id, code, why } = frame;
    // What was sent before our `join` belongs to an earlier stay in the room.
    const seat = this.#seats.get(room)?.link === link ? this.#seats.get(room) : null;
    link.isAccepted ||= t !== 'err';
    this.#heard();
    if (t === 'm' && seat) this.#message(seat, frame);
    else if (t === 'ok' || (t === 'no' && id)) this.#settle(this.#says.get(id), code, why, frame.at);
    else if (t === 'in' && seat) this.#entered(seat, frame);
    else if (t === 'gap' && seat) this.#call(seat.on.gap);
    else if (t === 'who' && seat) this.#who(seat, frame);
    else if (t === 'out' && this.#leaving.delete(room)) this.#sendJoins();
    else if ((t === 'out' || t === 'no') && seat) this.#refused(seat, frame);
    else if (t === 'later') this.#later = frame.ms;
    else if (t === 'err') this.#message(seat ?? {}, { at: frame.at, error: new RoomsError(code, why) });
    // Without tokens, a new connection shows the page's present cookie.
    else if (t === 'renew') this.#withToken(link, (token) => token == null ? this.#lost(t) : this.#send({ t: 'auth', token }));
  }

  #entered(seat, { at = null, caught }) {
    // Without a position the server cannot know that the page was here before, and has missed what was said meanwhile.
    const told = caught === 'fresh' && seat.wasIn ? 'gap' : caught;
    seat.isIn = seat.wasIn = true;
    if (caught !== 'whole') seat.at = at; // else the missed messages follow, and move the position one by one
    this.#call(seat.on.joined, told);
    if (told === 'gap') this.#call(seat.on.gap);
    if (seat.on.who && seat.isIn) this.#send({ t: 'who', room: seat.name });
    for (const say of this.#says.values()) if (say.seat === seat && seat.isIn) this.#sendSay(say);
  }

  #message(seat, { at = null, d, error }) {
    if (at && isRepeat(at, seat.at)) return;
    if (error) this.#options.onError(error); // it may stand in place of a message that is no JSON
    else if (d === undefined) this.#call(seat.on.own, at);
    else this.#call(seat.on.message, d, { at });
    // Only now: `room.at` never skips what was not handled. Where a handler has thrown, it would throw again.
    if (at) seat.at = at;
  }

  #who(seat, { all, joined, updated, left, count = null }) {
    if (all || count !== null) seat.people.clear();
    for (const person of [...(all ?? []), joined, updated]) if (person) seat.people.set(person.key, person);
    seat.people.delete(left);
    this.#call(seat.on.who, count === null ? [...seat.people.values()] : null, count ?? seat.people.size);
  }

  /** A room that was refused, or that the server has made us leave; or `who` was refused, which ends nothing. */
  #refused(seat, { t, code = null, why = '' }) {
    if (t === 'no' && seat.isIn) return this.#options.onError(new RoomsError(code, why));
    const again = () => seat.link === this.#link && ((seat.link = null), this.#sendJoins());
    if (t === 'no' && code === 'unavailable') return this.#env.after(again, this.#env.random() * 5000); // the history, for now
    this.#forget(seat, code ?? 'not_joined', why);
    this.#call(seat.on.out, { code, why });
  }

  // ---- what the page says
  #sendJoins() {
    const due = [...this.#seats.values()].filter(({ name, link }) => link !== this.#link && !this.#leaving.has(name));
    const rooms = Object.fromEntries(due.map((seat) => [seat.name, seat.at]));
    if (due.length && this.#send({ t: 'join', rooms })) for (const seat of due) seat.link = this.#link;
  }

  #say(seat, d = null, { others = false, id = `${this.#page}-${++this.#count}` } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#seats.get(seat.name) !== seat) throw new RoomsError('not_joined', `the page is not in ${seat.name}`);
      if (this.#says.size >= this.#options.maxUnanswered) throw new RoomsError('queue_full', `${this.#says.size} messages wait`);
      if (this.#says.has(id)) throw new RoomsError('bad_id', `the message ${id} has no answer yet`);
      const say = { seat, id, resolve, reject, sent: 0, text: JSON.stringify({ t: 'say', room: seat.name, id, d, others }) };
      this.#says.set(id, say);
      if (seat.isIn) this.#sendSay(say);
    });
  }

  #sendSay(say) {
    if (say.sent && this.#env.now() - say.sent >= REPEATABLE) this.#settle(say, 'uncertain', 'no answer came in time');
    else if (this.#send(say)) say.sent ||= this.#env.now();
  }
  #leave(seat) {
    if (this.#seats.get(seat.name) !== seat) return;
    this.#forget(seat, 'not_joined', `the page has left ${seat.name}`);
    if (seat.link === this.#link && this.#send({ t: 'leave', room: seat.name })) this.#leaving.add(seat.name);
  }

  /** What was sent still gets its answer. */
  #forget(seat, code, why) {
    this.#seats.delete(seat.name);
    seat.isIn = false;
    for (const say of this.#says.values()) if (say.seat === seat && !say.sent) this.#settle(say, code, why);
  }
  #settle(say, code, why, at = null) {
    if (!say || !this.#says.delete(say.id)) return;
    if (code) say.reject(new RoomsError(code, why, say.id));
    else say.resolve(at);
  }
}

/** Whether a position is not behind the last one. Another epoch is another history, whose offsets say nothing about this one. */
function isRepeat(at, last) {
  const [[epoch, offset], [lastEpoch, lastOffset]] = [at, last ?? ''].map((position) => position.split('.'));
  return epoch === lastEpoch && BigInt(offset) <= BigInt(lastOffset);
}
