/** Rooms over one WebSocket, by the subprotocol `sockeye.rooms.v1`. */

/**
 * Where a message stands in the history of its room, such as `k3x9.42`: an epoch, and an offset in it. Treat it as one
 * opaque string.
 */
export type Position = string;

/**
 * - `connecting`: a token is fetched, or the connection is being opened.
 * - `open`: connected. What each room says of itself comes through its callbacks.
 * - `waiting`: not connected; the next attempt begins in `ms`.
 * - `closed`: for good, by `close()` or by the server.
 */
export type State = 'connecting' | 'open' | 'waiting' | 'closed';

export interface StateInfo {
  /** With `waiting`: milliseconds until the next attempt, which begins earlier when the network or the page comes back. */
  ms?: number;
  /**
   * With `waiting` and `closed`: the close code of the WebSocket, or `silence` (nothing came for 40 s), `no_token` (the callback
   * `token` has failed), `renew` (the server asked for new credentials, and there is no token to send), `protocol` (the server
   * does not speak `sockeye.rooms.v1`), `closed` (by `close()`).
   */
  code?: number | string;
  /** With `waiting` and `closed`: the same in words, where there are any. */
  why?: string;
}

/**
 * How a `join` with a position went:
 *
 * - `fresh`: the first join, without a position.
 * - `whole`: everything that was missed follows.
 * - `gap`: messages may be missing. `gap()` is called too.
 */
export type Caught = 'fresh' | 'whole' | 'gap';

/** Somebody in a room. */
export interface Person<Info = unknown> {
  /** The same for all connections of one person. */
  key: string;
  info: Info;
}

export interface ConnectOptions {
  /**
   * Gives a token. Called before each attempt to connect, and when the server asks for another one; the token is used once, so
   * give a fresh one each time. A rejection counts as a lost connection. Without this option, or if it gives `null` or
   * `undefined`, no token is sent: the server knows the page by a cookie.
   */
  token?: () => Promise<string | null | undefined> | string | null | undefined;
  /** Called whenever the state changes. */
  onState?: (state: State, info: StateInfo) => void;
  /** Called with errors that belong to no call: of the server, and of your own callbacks. Default: `console.error`. */
  onError?: (error: unknown) => void;
  /** How many `say`s may be without an answer, those that wait for a connection included; default 100. */
  maxUnanswered?: number;
  /** For tests, which bring a time of their own, and for Node, whose WebSocket can send headers, such as a cookie. */
  env?: {
    WebSocket?: unknown;
    random?: () => number;
    now?: () => number;
    after?: (run: () => void, ms: number) => unknown;
    cancel?: (timer: any) => void;
  };
}

/** What a room calls. */
export interface RoomCallbacks<D = any, Info = any> {
  /**
   * A message. `at` is its position, `null` in a room without a history and for what is volatile. Each message with a position
   * comes once: repeats are dropped. The room's position moves after this has returned, or thrown; a promise is not waited for.
   */
  message?: (d: D, info: { at: Position | null }) => void;
  /** In place of one's own message that was said with `others`: it stands at this position. */
  own?: (at: Position) => void;
  /** The room is joined, for the first time or again. The missed messages come behind this. */
  joined?: (caught: Caught) => void;
  /** Messages may be missing, and do not come any more: load what the page shows again. */
  gap?: () => void;
  /**
   * Who is in the room, whole after each change, and how many. Above 1,000 people there is only the number, and `people` is
   * `null`. The server is asked for this only if there is a callback.
   */
  who?: (people: Person<Info>[] | null, count: number) => void;
  /**
   * The room was refused, or the server has taken the page out of it. The room is over; join it anew, if that makes sense.
   * `code` is `denied` without permission, and `null` if the server gives no reason.
   */
  out?: (reason: { code: string | null; why: string }) => void;
}

export interface JoinOptions<D = any, Info = any> extends RoomCallbacks<D, Info> {
  /** The position of the last message that the page has. What came behind it follows. Default `null`: nothing follows. */
  since?: Position | null;
}

export interface SayOptions {
  /** Not to this page: `own` is called with the position instead. Default `false`. */
  others?: boolean;
  /** The id of an earlier `say` that has failed with `uncertain`: within five minutes of that one, both count as one. */
  id?: string;
}

export interface Room<D = any> {
  readonly name: string;
  /** Where the page stands: the position of the last message that was handled. */
  readonly at: Position | null;
  /** Whether the page is in the room at this moment. */
  readonly isIn: boolean;
  /**
   * Says something to the room. Waits for a connection, and is sent again after one was lost, with the same id: in a room with a
   * history it is said exactly once, and in another one perhaps twice. What is said in a row arrives in this order. Resolves to its position, or to `null` in a room without a history.
   *
   * Rejects with a {@link RoomsError}: what the server answers (`denied`, `too_large`, `unavailable`, …), `uncertain` (nobody
   * knows whether it was said), `queue_full`, `not_joined`, `closed`.
   */
  say(d: D, options?: SayOptions): Promise<Position | null>;
  /** Says something that nobody needs later: that somebody types. Returns whether it was sent; without a connection it is not. */
  volatile(d: D, options?: { others?: boolean }): boolean;
  /** Leaves the room. What was not sent so far fails with `not_joined`. */
  leave(): void;
}

export interface Rooms {
  readonly state: State;
  /**
   * Joins a room: at once, or as soon as there is a connection, and again after each reconnect. Throws a {@link RoomsError} if
   * the connection is closed, or the room is joined already.
   */
  join<D = any, Info = any>(name: string, options?: JoinOptions<D, Info>): Room<D>;
  /** Closes the connection for good. Each `say` without an answer rejects with `closed`. */
  close(): void;
}

/** What went wrong. `message` is for people. */
export class RoomsError extends Error {
  readonly name: 'RoomsError';
  /** For programs: stable. */
  readonly code: string | number;
  /** Of the `say` that has failed. */
  readonly id?: string;
  constructor(code: string | number, why?: string, id?: string);
}

/**
 * Opens the connection, and keeps it open until `close()`, or until the server refuses the page for good: with the close code
 * 3003, or with 3000 where no token of this connection was ever accepted.
 *
 * @param url The server's address; in a page, it may be relative: `/ws`.
 */
export function connect(url: string | URL, options?: ConnectOptions): Rooms;
