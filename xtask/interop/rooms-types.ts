// Uses sockeye-rooms.d.ts as an application does. Only compiled: what is wrong here, or what should be wrong and is not, fails.

import { connect, RoomsError } from './sockeye-rooms.js';
import type { Caught, Person, Position, Room, Rooms, State } from './sockeye-rooms.js';

interface Line { text: string }

const states: State[] = [];
const rooms: Rooms = connect('/ws', {
  token: async () => (await fetch('/token')).text(),
  onState: (state, { ms, code, why }) => states.push(state, ...(ms! > 0 && code === 'silence' && why ? [state] : [])),
  onError: (error: unknown) => console.error(error),
  maxUnanswered: 10,
});
connect(new URL('wss://example.com/ws'));
connect('/ws', { token: () => null }).close();

const room: Room<Line> = rooms.join<Line, { color: string }>('chat:42', {
  since: 'k3x9.42',
  message: (line, { at }) => console.log(line.text.trim(), at?.length),
  own: (at: Position) => console.log(at),
  joined: (caught: Caught) => console.log(caught === 'whole'),
  gap: () => location.reload(),
  who: (people: Person<{ color: string }>[] | null, count) =>
    console.log(people?.map(({ key, info }) => key + info.color), count + 1),
  out: ({ code, why }) => console.log(code, why),
});

const kept: Position | null = room.at;
const isThere: boolean = room.isIn && room.name === 'chat:42' && room.volatile({ text: '…' }, { others: true });
try {
  const at: Position | null = await room.say({ text: 'hello' }, { others: true });
  console.log(at, kept, isThere);
} catch (error) {
  if (error instanceof RoomsError && error.code === 'uncertain') await room.say({ text: 'hello' }, { id: error.id });
}
room.leave();

// @ts-expect-error: a line has a text
room.say({ words: 'hello' });
// @ts-expect-error: the position is read, and not written
room.at = 'k3x9.43';
// @ts-expect-error: a room is joined by its name
rooms.join(42);
// @ts-expect-error: there is no such option
connect('/ws', { tokens: async () => 'a' });
