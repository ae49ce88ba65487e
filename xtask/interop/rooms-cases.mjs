// What sockeye-rooms.js promises, against a scripted server. The same cases run in Node and in browsers.

import { RoomsError } from './sockeye-rooms.js';
import { World } from './rooms-world.mjs';

const cases = {
  async 'all rooms are joined in one frame, behind their positions'(world) {
    const rooms = world.connect();
    // Nothing is called back while the page does not have what `connect` returns.
    is(world.news(), []);
    rooms.join('chat:1', { since: 'e.4' });
    rooms.join('chat:2');
    const socket = await world.accept();
    is([socket.url, socket.offered], ['ws://rooms.test/ws', 'sockeye.rooms.v1']);
    is(socket.hears(), [{ t: 'join', rooms: { 'chat:1': 'e.4', 'chat:2': null } }]);
    rooms.join('chat:3');
    rooms.join('chat:4');
    await world.settle();
    is(socket.hears(), [{ t: 'join', rooms: { 'chat:3': null, 'chat:4': null } }]);
  },

  async 'messages move the position, and repeats are dropped'(world) {
    const room = world.connect().join('a', { since: 'e.9', ...world.notes('a') });
    const socket = await world.accept();
    socket.says({ t: 'in', room: 'a', at: 'e.11', caught: 'whole' }, m('a', 'e.10', 'ten'), m('a', 'e.11', 'eleven'));
    is(room.at, 'e.11');
    socket.says(m('a', 'e.9', 'late'), m('a', 'e.11', 'again'), m('a', 'e.100', 'more'), m('a', undefined, 'volatile'));
    is(room.at, 'e.100');
    // As numbers, these two are the same.
    socket.says(m('a', 'e.9007199254740993', 'far'), m('a', 'e.9007199254740992', 'less far'), m('a', 'f.1', 'another epoch'));
    is(room.at, 'f.1');
    is(world.news(), ['connecting', 'open', 'a whole', 'a ten at e.10', 'a eleven at e.11', 'a more at e.100', 'a volatile',
      'a far at e.9007199254740993', 'a another epoch at f.1']);
  },

  async 'the position moves behind the handler, and also when the handler throws'(world) {
    const seen = [];
    const room = world.connect().join('a', {
      message: (d) => {
        seen.push(room.at);
        if (d === 'bad') throw new Error('the handler fails');
      },
    });
    const socket = await world.accept();
    socket.says({ t: 'in', room: 'a', at: 'e.1', caught: 'fresh' }, m('a', 'e.2', 'bad'), m('a', 'e.3', 'good'));
    is([seen, room.at], [['e.1', 'e.2'], 'e.3']);
    is(world.news(), ['connecting', 'open', 'error the handler fails']);
  },

  async 'a message that was said to the others moves the position'(world) {
    const room = world.connect().join('a', world.notes('a'));
    const socket = await enter(world, 'a', 'e.1');
    const said = room.say('mine', { others: true });
    const [{ id, ...frame }] = socket.hears();
    is(frame, { t: 'say', room: 'a', d: 'mine', others: true });
    socket.says({ t: 'm', room: 'a', at: 'e.2' }, { t: 'ok', id, at: 'e.2' });
    is([await said, room.at], ['e.2', 'e.2']);
    is(world.news().slice(2), ['a fresh', 'a own at e.2']);
  },

  async 'a reconnect goes on behind the last message'(world) {
    world.connect().join('a', world.notes('a'));
    (await enter(world, 'a', 'e.1')).says(m('a', 'e.2', 'two'));
    world.sockets[0].closes(1006);
    await world.pass(500);
    const socket = await world.accept();
    is(socket.hears(), [{ t: 'join', rooms: { a: 'e.2' } }]);
    socket.says({ t: 'in', room: 'a', at: 'e.3', caught: 'whole' }, m('a', 'e.3', 'three'));
    is(world.news(), ['connecting', 'open', 'a fresh', 'a two at e.2', 'waiting 500 1006', 'connecting', 'open', 'a whole',
      'a three at e.3']);
  },

  async 'a gap is told when the server says so, and when nobody can know'(world) {
    const rooms = world.connect();
    const kept = rooms.join('kept', world.notes('kept'));
    rooms.join('unkept', world.notes('unkept'));
    let socket = await world.accept();
    socket.says({ t: 'in', room: 'kept', at: 'e.5', caught: 'fresh' }, { t: 'in', room: 'unkept', at: null, caught: 'fresh' });
    socket.says({ t: 'gap', room: 'unkept' });
    socket.closes(1006);
    await world.pass(500);
    socket = await world.accept();
    is(socket.hears(), [{ t: 'join', rooms: { kept: 'e.5', unkept: null } }]);
    world.news();
    // The server has been restarted; it keeps nothing of the second room, and so calls each join of it a fresh one.
    socket.says({ t: 'in', room: 'kept', at: 'f.1', caught: 'gap' }, { t: 'in', room: 'unkept', at: null, caught: 'fresh' });
    is(kept.at, 'f.1');
    is(world.news(), ['kept gap', 'kept gap()', 'unkept gap', 'unkept gap()']);
  },

  async 'the waits have full jitter, grow to 30 s, and are short again after a steady connection'(world) {
    world.connect();
    world.random = 1;
    const waits = [];
    for (let attempt = 0; attempt < 7; attempt += 1) {
      await world.settle();
      world.sockets.at(-1).closes(1006);
      waits.push(waited(world));
      await world.pass(waits.at(-1));
    }
    is(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    // A connection that is lost at once changes nothing.
    (await world.accept()).closes(1006);
    is(waited(world), 30_000);
    await world.pass(30_000);
    const socket = await world.accept();
    await world.pass(10_000);
    world.random = 0;
    socket.closes(1006);
    is(waited(world), 0);
    await world.pass(0);
    world.random = 1;
    await world.settle();
    world.sockets.at(-1).closes(1006);
    is(waited(world), 2000);
  },

  async 'an attempt that fails is one, with a Close behind the error and without'(world) {
    world.connect();
    await world.settle();
    world.sockets[0].fails();
    is(world.news(), ['connecting', 'waiting 500 1006']);
    world.sockets[0].closes(1006);
    is(world.news(), []);
    await world.pass(500);
    // The end of an open connection has a code.
    const socket = await world.accept();
    socket.fails();
    socket.closes(1013);
    is(world.news(), ['connecting', 'open', 'waiting 1000 1013']);
  },

  async 'a server that goes away says when it wants us back, once'(world) {
    world.connect();
    let socket = await world.accept();
    socket.says({ t: 'later', ms: [500, 8000] });
    world.random = 0.1;
    socket.closes(1001);
    is(waited(world), 1250);
    await world.pass(1250);
    socket = await world.accept();
    world.random = 1;
    socket.closes(1001);
    is(waited(world), 1000);
  },

  async 'a network that comes back ends the wait, but not the one that the server wants'(world) {
    const listeners = new Map();
    const { addEventListener } = globalThis;
    globalThis.addEventListener = (event, run) => listeners.set(event, run);
    try {
      world.connect();
    } finally {
      globalThis.addEventListener = addEventListener;
    }
    (await world.accept()).closes(1006);
    is(waited(world), 500);
    listeners.get('online')();
    const socket = await world.accept();
    is(world.news(), ['connecting', 'open', 'waiting 500 1006', 'connecting', 'open']);
    is(world.sockets.length, 2);
    await world.pass(500);
    is(world.sockets.length, 2);
    socket.says({ t: 'later', ms: [5000, 5000] });
    socket.closes(1001);
    listeners.get('online')();
    await world.settle();
    is(world.sockets.length, 2);
    await world.pass(5000);
    is(world.sockets.length, 3);
  },

  async 'a connection on which nothing comes for 40 s is dead'(world) {
    world.connect();
    const socket = await world.accept();
    for (let beat = 0; beat < 4; beat += 1) {
      await world.pass(39_000);
      socket.says({ t: 'hb' });
    }
    is(world.news(), ['connecting', 'open']);
    await world.pass(39_999);
    is([world.news(), socket.closedWith], [[], undefined]);
    await world.pass(1);
    is([world.news(), socket.closedWith], [['waiting 500 silence'], 1000]);
    // What it says now is too late.
    socket.says({ t: 'err', code: 'late', why: 'late' });
    socket.closes(1006);
    await world.pass(500);
    is(world.news(), ['connecting']);
  },

  async 'an attempt without any answer ends after 40 s, also when it is the token that does not come'(world) {
    world.connect();
    await world.pass(40_000);
    is(world.news(), ['connecting', 'waiting 500 silence']);
    const slow = new World();
    const tokens = [];
    slow.connect({ token: () => new Promise((resolve) => tokens.push(resolve)) });
    await slow.pass(40_000);
    is([slow.news(), slow.sockets.length], [['connecting', 'waiting 500 silence'], 0]);
    // Too late.
    tokens[0]('old');
    await slow.pass(500);
    is(slow.sockets.length, 0);
    tokens[1]('fresh');
    is((await slow.accept()).hears(), [{ t: 'auth', token: 'fresh' }]);
  },

  async 'each connection and each renewal has a fresh token'(world) {
    let made = 0;
    const token = async () => `token ${++made}`;
    world.connect({ token }).join('a');
    let socket = await world.accept();
    is(socket.hears(), [{ t: 'auth', token: 'token 1' }, { t: 'join', rooms: { a: null } }]);
    socket.says({ t: 'renew' });
    await world.settle();
    is(socket.hears(), [{ t: 'auth', token: 'token 2' }]);
    socket.closes(1006);
    await world.pass(500);
    socket = await world.accept();
    is(socket.hears()[0], { t: 'auth', token: 'token 3' });
  },

  async 'a token that expired while the page slept is replaced, and is not the end'(world) {
    let made = 0;
    world.connect({ token: () => `token ${++made}` }).join('a');
    const socket = await enter(world, 'a', 'e.1');
    // Both have waited for the page to wake up.
    socket.says({ t: 'renew' });
    socket.closes(3000, 'the token has expired');
    await world.pass(500);
    const again = await world.accept();
    is(again.hears(), [{ t: 'auth', token: 'token 3' }, { t: 'join', rooms: { a: 'e.1' } }]);
    again.says({ t: 'err', code: 'auth_failed', why: 'no' });
    again.closes(3000, 'bad token');
    is(world.news().slice(-2), ['error auth_failed', 'closed 3000']);
  },

  async 'without a token, a renewal is another connection with the present cookie'(world) {
    world.connect();
    const socket = await world.accept();
    is(socket.hears(), []);
    socket.says({ t: 'renew' });
    await world.pass(500);
    await world.accept();
    is(world.news(), ['connecting', 'open', 'waiting 500 renew', 'connecting', 'open']);
  },

  async 'a token that cannot be had is tried for again'(world) {
    let works = false;
    const token = async () => {
      if (!works) throw new Error('no network');
      return 'token';
    };
    world.connect({ token });
    await world.settle();
    is([world.news(), world.sockets.length], [['connecting', 'waiting 500 no_token', 'error no network'], 0]);
    works = true;
    await world.pass(500);
    is((await world.accept()).hears(), [{ t: 'auth', token: 'token' }]);
  },

  async 'unauthorized at the first word, and forbidden at any time, are the end'(world) {
    for (const [code, isAccepted] of [[3000, false], [3003, false], [3003, true]]) {
      const each = new World();
      const rooms = each.connect();
      const room = rooms.join('a');
      const socket = await each.accept();
      if (isAccepted) socket.says({ t: 'hb' });
      const said = failure(room.say('never'));
      socket.closes(code, 'not you');
      is(each.news(), ['connecting', 'open', `closed ${code}`]);
      is([rooms.state, await said, await failure(room.say('later'))], ['closed', 'closed', 'not_joined']);
      await each.pass(100_000);
      is(each.sockets.length, 1);
      is(await failure(new Promise(() => rooms.join('b'))), 'closed');
    }
    is(world.news(), []);
  },

  async 'a server that does not speak the protocol is the end'(world) {
    world.connect();
    const socket = await world.accept('');
    is([world.news(), socket.closedWith], [['connecting', 'closed protocol'], 1000]);
  },

  async 'what was said without an answer is said again, with the same ids and in order'(world) {
    const room = world.connect().join('a', world.notes('a'));
    const results = ['one', 'two'].map((text) => room.say(text));
    let socket = await world.accept();
    results.push(room.say('three'));
    // Not before the room is joined.
    is(socket.hears().map(({ t }) => t), ['join']);
    socket.says({ t: 'in', room: 'a', at: 'e.1', caught: 'fresh' });
    const first = socket.hears();
    is(first.map(({ d }) => d), ['one', 'two', 'three']);
    const ids = first.map(({ id }) => id);
    ok(ids.every((id, index) => /^[\w-]{22}-\d+$/.test(id) && id.endsWith(`-${index + 1}`)), ids);
    socket.says({ t: 'ok', id: ids[0], at: 'e.2' });
    socket.closes(1006);
    await world.pass(500);
    socket = await world.accept();
    socket.says({ t: 'in', room: 'a', at: 'e.2', caught: 'whole' });
    is(socket.hears().slice(1), first.slice(1));
    socket.says({ t: 'ok', id: ids[1], at: 'e.3' }, { t: 'no', id: ids[2], code: 'denied', why: 'you may only listen' });
    is(await Promise.all(results.slice(0, 2)), ['e.2', 'e.3']);
    const error = await results[2].catch((error) => error);
    ok(error instanceof RoomsError && error instanceof Error, error);
    is([error.code, error.message, error.id], ['denied', 'you may only listen', ids[2]]);
  },

  async 'what was said long ago is not repeated, since the server has forgotten the id'(world) {
    const room = world.connect().join('a');
    const socket = await enter(world, 'a', 'e.1');
    const old = failure(room.say('old'));
    socket.closes(1006);
    await world.pass(500);
    // It is sent again, which is no second beginning of the five minutes.
    world.time += 200_000;
    await enter(world, 'a', 'e.1');
    world.sockets[1].closes(1006);
    world.time += 39_500;
    const queued = room.say('new');
    await world.pass(2000);
    (await world.accept()).says({ t: 'in', room: 'a', at: 'e.1', caught: 'whole' });
    is(await old, 'uncertain');
    const [, { id, d }] = world.sockets.at(-1).hears();
    is(d, 'new');
    world.sockets.at(-1).says({ t: 'ok', id });
    is(await queued, null);
  },

  async 'a say of which nobody knows can be said again under its id'(world) {
    const room = world.connect().join('a');
    const socket = await enter(world, 'a', 'e.1');
    const first = room.say('once');
    const [{ id }] = socket.hears();
    is(await failure(room.say('twice', { id })), 'bad_id');
    socket.says({ t: 'no', id, code: 'uncertain', why: 'the broker has gone' });
    is(await failure(first), 'uncertain');
    const again = room.say('once', { id });
    is(socket.hears().map(({ id }) => id), [id]);
    socket.says({ t: 'ok', id, at: 'e.2' });
    is(await again, 'e.2');
  },

  async 'the queue is bounded, and a full one says so'(world) {
    const room = world.connect({ maxUnanswered: 2 }).join('a');
    const results = [room.say(1), room.say(2)];
    is(await failure(room.say(3)), 'queue_full');
    const socket = await enter(world, 'a', 'e.1');
    const [{ id }] = socket.hears();
    socket.says({ t: 'ok', id, at: 'e.2' });
    is(await results[0], 'e.2');
    room.say(4);
    is(socket.hears().map(({ d }) => d), [4]);
  },

  async 'what is too large for the server is not sent again'(world) {
    const room = world.connect().join('a');
    const socket = await enter(world, 'a', 'e.1');
    const said = failure(room.say('large'));
    socket.closes(1009, 'at most 16 bytes');
    is(await said, 'too_large');
  },

  async 'what is volatile is dropped without a connection'(world) {
    const room = world.connect().join('a');
    is(room.volatile('typing'), false);
    const socket = await world.accept();
    is(room.volatile('typing'), false);
    socket.says({ t: 'in', room: 'a', at: null, caught: 'fresh' });
    is(room.volatile('typing', { others: true }), true);
    is(socket.hears().slice(1), [{ t: 'say', room: 'a', d: 'typing', volatile: true, others: true }]);
    socket.closes(1006);
    is([room.volatile('typing'), room.isIn], [false, false]);
  },

  async 'who is there comes whole after each change'(world) {
    const seen = [];
    const who = (people, count) => seen.push([people?.map(({ key, info }) => `${key}:${info}`).join(' ') ?? null, count]);
    world.connect().join('a', { who });
    let socket = await enter(world, 'a', null);
    is(socket.hears(), [{ t: 'who', room: 'a' }]);
    const says = (frame) => socket.says({ t: 'who', room: 'a', ...frame });
    says({ all: [{ key: 'ada', info: 1 }, { key: 'bo', info: 1 }] });
    says({ joined: { key: 'cy', info: 1 } });
    says({ updated: { key: 'ada', info: 2 } });
    says({ left: 'bo' });
    says({ count: 1234 });
    says({ all: [{ key: 'di', info: 1 }] });
    is(seen.splice(0, 3), [['ada:1 bo:1', 2], ['ada:1 bo:1 cy:1', 3], ['ada:2 bo:1 cy:1', 3]]);
    is(seen.splice(0), [['ada:2 cy:1', 2], [null, 1234], ['di:1', 1]]);
    // Asked again on each connection.
    socket.closes(1006);
    await world.pass(500);
    socket = await enter(world, 'a', null);
    is(socket.hears(), [{ t: 'who', room: 'a' }]);
    socket.says({ t: 'no', room: 'a', code: 'no_presence', why: 'not here' });
    is(world.news().at(-1), 'error no_presence');
  },

  async 'a room that is refused, or taken away, is told so and not joined again'(world) {
    const rooms = world.connect();
    const [a, b] = ['a', 'b'].map((name) => rooms.join(name, world.notes(name)));
    const queued = failure(a.say('never'));
    const socket = await world.accept();
    socket.says({ t: 'no', room: 'a', code: 'denied', why: 'no' }, { t: 'in', room: 'b', at: 'e.1', caught: 'fresh' });
    is([await queued, await failure(a.say('never'))], ['denied', 'not_joined']);
    socket.says({ t: 'out', room: 'b' }, m('b', 'e.2', 'late'));
    is([b.isIn, world.news()], [false, ['connecting', 'open', 'a out denied', 'b fresh', 'b out null']]);
    socket.closes(1006);
    await world.pass(500);
    is((await world.accept()).hears(), []);
  },

  async 'a room whose history cannot be read for now is joined a little later'(world) {
    world.connect().join('a', world.notes('a'));
    const socket = await world.accept();
    socket.says({ t: 'no', room: 'a', code: 'unavailable', why: 'the broker is away' });
    socket.hears();
    await world.pass(2499);
    is(socket.hears(), []);
    await world.pass(1);
    is(socket.hears(), [{ t: 'join', rooms: { a: null } }]);
    is(world.news(), ['connecting', 'open']);
  },

  async 'a room that is left and joined again hears nothing of the first stay'(world) {
    const rooms = world.connect();
    const first = rooms.join('a', world.notes('first'));
    const socket = await enter(world, 'a', 'e.1');
    const sent = first.say('sent');
    const [{ id }] = socket.hears();
    first.leave();
    rooms.join('a', { since: 'e.1', ...world.notes('second') });
    await world.settle();
    is(socket.hears(), [{ t: 'leave', room: 'a' }]);
    world.news();
    // A refusal of the first stay is none of the second.
    const refusal = { t: 'no', room: 'a', code: 'denied', why: 'no' };
    socket.says(m('a', 'e.2', 'sent'), { t: 'ok', id, at: 'e.2' }, refusal, { t: 'out', room: 'a' });
    is(await sent, 'e.2');
    is(socket.hears(), [{ t: 'join', rooms: { a: 'e.1' } }]);
    socket.says({ t: 'in', room: 'a', at: 'e.2', caught: 'whole' }, m('a', 'e.2', 'sent'));
    is(world.news(), ['second whole', 'second sent at e.2']);
    is(await failure(first.say('late')), 'not_joined');
  },

  async 'a room that is left while the connection is lost can be joined again'(world) {
    const rooms = world.connect();
    rooms.join('a');
    await enter(world, 'a', 'e.1');
    const first = rooms.join('b');
    await world.settle();
    world.sockets[0].says({ t: 'in', room: 'b', at: null, caught: 'fresh' });
    first.leave();
    // Its `out` does not come any more.
    world.sockets[0].closes(1006);
    rooms.join('b');
    await world.pass(500);
    is((await world.accept()).hears(), [{ t: 'join', rooms: { a: 'e.1', b: null } }]);
  },

  async 'a page may leave a room as soon as it is in'(world) {
    const room = world.connect().join('a', { joined: () => room.leave(), who: () => {} });
    const said = failure(room.say('never'));
    const socket = await enter(world, 'a', 'e.1');
    is(socket.hears(), [{ t: 'leave', room: 'a' }]);
    is(await said, 'not_joined');
  },

  async 'what was sent to a room that was left since is uncertain once the connection is lost'(world) {
    const room = world.connect().join('a');
    const socket = await enter(world, 'a', 'e.1');
    const sent = failure(room.say('sent'));
    room.leave();
    socket.closes(1006);
    is(await sent, 'uncertain');
  },

  async 'a room is joined once at a time'(world) {
    const rooms = world.connect();
    rooms.join('a');
    is(await failure(new Promise(() => rooms.join('a'))), 'joined_already');
  },

  async 'what nobody understands is told or skipped, and the connection lives on'(world) {
    world.connect().join('a', world.notes('a'));
    const socket = await enter(world, 'a', null);
    world.news();
    socket.says({ t: 'new', room: 'a' }, { t: 'ok', id: 'unknown' }, m('b', 'e.1', 'elsewhere'), { t: 'later' });
    is(world.news(), []);
    socket.says('{', { t: 'err', code: 'bad_frame', why: 'no' });
    const [, bad] = world.news();
    is(bad, 'error bad_frame');
    socket.says(m('a', undefined, null), m('a', undefined, 'still here'));
    is(world.news(), ['a null', 'a still here']);
  },

  async 'an error in place of a message moves the position'(world) {
    const room = world.connect().join('a', world.notes('a'));
    const socket = await enter(world, 'a', 'e.1');
    socket.says({ t: 'err', room: 'a', at: 'e.2', code: 'binary', why: 'a binary message was sent to the room' });
    is([room.at, world.news().at(-1)], ['e.2', 'error binary']);
  },

  async 'a page may close the connection in any state'(world) {
    for (const closing of ['connecting', 'open', 'waiting']) {
      const each = new World();
      const rooms = each.connect({
        onState: (state) => {
          each.told.push(state);
          if (state === closing) rooms.close();
        },
      });
      await each.settle();
      each.sockets.at(-1)?.accept();
      each.sockets.at(-1)?.closes(1006);
      await each.pass(100_000);
      is(each.told.slice(-2), [closing, 'closed']);
      is(each.timers, []);
    }
    is(world.told, []);
  },

  async 'after close() nothing happens any more'(world) {
    const rooms = world.connect();
    const room = rooms.join('a', world.notes('a'));
    const socket = await enter(world, 'a', 'e.1');
    const said = failure(room.say('unanswered'));
    rooms.close();
    rooms.close();
    socket.says(m('a', 'e.2', 'late'));
    await world.pass(100_000);
    is([await said, socket.closedWith, world.sockets.length, world.timers.length], ['closed', 1000, 1, 0]);
    is(world.news(), ['connecting', 'open', 'a fresh', 'closed closed']);
  },
};

/** Runs all cases, and gives the name of each one, with what went wrong if something did. */
export async function run() {
  const results = [];
  for (const [name, test] of Object.entries(cases)) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('it waits for what does not come')), 1000);
    });
    try {
      await Promise.race([test(new World()), late]);
      results.push({ name });
    } catch (error) {
      results.push({ name, error: error.stack ?? String(error) });
    }
    clearTimeout(timer);
  }
  return results;
}

const m = (room, at, d) => ({ t: 'm', room, at, d });

/** The room is joined for the first time, at this position. */
async function enter(world, room, at) {
  const socket = await world.accept();
  socket.hears();
  socket.says({ t: 'in', room, at, caught: 'fresh' });
  return socket;
}

/** How long the page is about to wait. */
const waited = (world) => Number(/^waiting (\d+)/.exec(world.told.at(-1))?.[1]);

/** The code with which it fails. */
const failure = (promise) => promise.then((value) => `no failure, but ${value}`, (error) => error.code);

function is(found, expected) {
  const [is, should] = [found, expected].map((value) => JSON.stringify(value));
  ok(is === should, `\n  found    ${is}\n  expected ${should}`);
}

function ok(holds, why) {
  if (!holds) throw new Error(typeof why === 'string' ? why : JSON.stringify(why));
}
