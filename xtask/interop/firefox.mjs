// Firefox without a window, driven by WebDriver BiDi, which it speaks itself: JSON over a WebSocket.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import { PATIENCE, args } from './check.mjs';

/** Everything that would look for a host on the network, or greet somebody, is off. */
const PREFERENCES = {
  'app.normandy.enabled': false,
  'app.update.auto': false,
  'app.update.background.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.aboutwelcome.enabled': false,
  'browser.newtabpage.enabled': false,
  'browser.region.network.url': '',
  'browser.safebrowsing.downloads.remote.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.search.update': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.startup.page': 0,
  'datareporting.healthreport.uploadEnabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'datareporting.usage.uploadEnabled': false,
  'dom.push.connection.enabled': false,
  'extensions.getAddons.cache.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'extensions.update.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'network.dns.disablePrefetch': true,
  'network.prefetch-next': false,
  'network.trr.mode': 5,
  'services.settings.server': 'data:,#none',
  'toolkit.telemetry.enabled': false,
  'toolkit.telemetry.server': 'data:,#none',
  'toolkit.telemetry.unified': false,
  'trailhead.firstrun.didSeeAboutWelcome': true,
};

/** Runs `use` with a browser, and ends it. */
export async function withFirefox(use) {
  const profile = join(args.output, 'profile');
  mkdirSync(profile, { recursive: true });
  const lines = Object.entries(PREFERENCES).map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});\n`);
  writeFileSync(join(profile, 'user.js'), lines.join(''));

  const given = ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'];
  // What it keeps for its user is to be gone with the profile.
  const env = { ...process.env, HOME: profile, XDG_CACHE_HOME: profile, XDG_CONFIG_HOME: profile, MOZ_CRASHREPORTER_DISABLE: '1' };
  const child = spawn(args.firefox, given, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const remote = await Remote.of(child);
  try {
    await remote.ask('session.new', { capabilities: {} });
    return await use(new Browser(remote));
  } finally {
    child.kill('SIGKILL');
  }
}

/** A connection to the browser, on which each question has a number, and its answer the same. */
class Remote {
  static async of(child) {
    const said = [];
    const found = new Promise((resolve, reject) => {
      const fail = (why) => reject(new Error(`Firefox does not say where WebDriver BiDi listens: ${why}\n${said.join('\n')}`));
      setTimeout(() => fail(`nothing in ${PATIENCE} ms`), PATIENCE).unref();
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => fail(`it has ended (${code ?? signal})`));
      createInterface(child.stderr).on('line', (line) => {
        said.push(line);
        const match = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
        if (match) resolve(match[1]);
      });
    });
    const socket = new WebSocket(`${await found}/session`);
    await once(socket, 'open');
    return new Remote(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.asked = new Map();
    this.last = 0;
    socket.on('message', (data) => {
      const { id, type, result, message } = JSON.parse(data.toString());
      // What has no number is news that nobody has asked for.
      const waiting = this.asked.get(id);
      this.asked.delete(id);
      if (type === 'success') waiting?.resolve(result);
      else if (type === 'error') waiting?.reject(new Error(message));
    });
    socket.on('close', () => {
      for (const { reject } of this.asked.values()) reject(new Error('Firefox has gone'));
    });
  }

  ask(method, params) {
    this.last += 1;
    const id = this.last;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      setTimeout(() => reject(new Error(`Firefox has not answered ${method} in ${PATIENCE} ms`)), PATIENCE).unref();
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }
}

class Browser {
  constructor(remote) {
    this.remote = remote;
  }

  /** Opens a tab, and waits until the page has loaded. */
  async open(url) {
    const { context } = await this.remote.ask('browsingContext.create', { type: 'tab' });
    await this.remote.ask('browsingContext.navigate', { context, url, wait: 'complete' });
    return new Page(this.remote, context);
  }
}

class Page {
  constructor(remote, context) {
    this.remote = remote;
    this.context = context;
  }

  /** What the function resolves to in the page, which gets the argument; both travel as JSON. */
  async evaluate(run, argument = null) {
    const { type, result, exceptionDetails } = await this.remote.ask('script.callFunction', {
      functionDeclaration: `async (given) => JSON.stringify(await (${run})(JSON.parse(given)))`,
      arguments: [{ type: 'string', value: JSON.stringify(argument) }],
      awaitPromise: true,
      target: { context: this.context },
    });
    if (type !== 'success') throw new Error(exceptionDetails.text);
    return JSON.parse(result.value);
  }
}
