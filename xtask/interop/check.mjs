// What the scripts share: their arguments, and checks that are printed one by one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import process from 'node:process';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';

const option = { type: 'string' };
const options = {
  url: option, tls: option, nginx: option, input: option, pid: option, chromium: option, firefox: option, output: option,
  chat: option, other: option, 'other-pid': option, 'broker-pid': option,
};
export const { values: args } = parseArgs({ options });

/** The server's address for a WebSocket. */
export const wsUrl = `${args.url.replace(/^http/, 'ws')}/ws`;

/** Options of this version of TLS alone, which trust the server's own certificate; none without `--tls`. */
export async function tlsOptions() {
  if (!args.tls) return {};
  const { hostname, port } = new URL(args.url);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const ca = socket.getPeerX509Certificate().toString();
  socket.destroy();
  const version = `TLSv${args.tls}`;
  return { ca, minVersion: version, maxVersion: version };
}

/** How long anything that is waited for may take. */
export const PATIENCE = 20_000;

let passed = 0;

/** Runs one check, with a deadline, and prints its name once it has passed. */
export async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came of it in ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    await Promise.race([run(), late]);
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    // Which has a copy of the message in it.
    error.stack = `${name}: ${error.stack}`;
    throw error;
  } finally {
    clearTimeout(timer);
  }
  passed += 1;
  console.log(`  ok: ${name}`);
}

/** What Ctrl-C does to the server. */
export function interruptServer() {
  process.kill(Number(args.pid), 'SIGINT');
}

/** Runs the script; exits with 1 and the reason when a check fails. */
export async function script(title, run) {
  try {
    console.log(`${title} at ${args.url}`);
    await run();
    assert.ok(passed > 0, 'no check was run');
    console.log(`${title}: ${passed} checks passed`);
    process.exit(0);
  } catch (error) {
    console.error(`${title}: FAILED: ${error.stack ?? error}`);
    process.exit(1);
  }
}

/** Texts that are told apart by their encoding: one to four bytes a character, a zero, and a mark that is no letter. */
export const TEXTS = ['hello', 'Rotlachs', 'Grüße, Łosoś, лосось', '紅鮭 🐟', '\u0000\u2028\ufeff', ''];
