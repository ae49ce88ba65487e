// Chromium at two example-chats with one broker, all of which are killed in turn. Whoever runs the script starts again what was killed.

import assert from 'node:assert/strict';
import process from 'node:process';
import { screenshot, withBrowsers } from './browser.mjs';
import { enter, lacks, lines, pageErrors, say, shows } from './chat-page.mjs';
import { args, check, script } from './check.mjs';
import { Network } from './rooms-network.mjs';

/** Ends a process as a crash does. */
const kill = (pid) => process.kill(Number(pid), 'SIGKILL');

/** Sends a line that may have to wait. */
async function write(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
}

/** Waits until the page has these lines, each with its place in the history. */
async function has(page, texts) {
  for (const text of texts) await page.locator('.line[data-at]', { hasText: text }).first().waitFor();
}

/** Both pages have what they had `before`, and then each of these lines once, in one order. */
async function areTheSame(pages, before, texts) {
  for (const page of pages) await has(page, texts);
  const [first, ...others] = await Promise.all(pages.map(lines));
  for (const other of others) assert.deepEqual(other, first);
  assert.deepEqual(first.slice(0, before.length), before);
  assert.deepEqual(first.slice(before.length).sort(), [...texts].sort());
  for (const page of pages) assert.equal(await page.locator('.gap, .pending, .failed').count(), 0);
}

await script('Chromium at two example-chats with one broker', () =>
  withBrowsers(async (browser) => {
    const cable = await Network.to(args.other);
    const ada = await enter(await browser(), 'Ada');
    const grace = await enter(await browser(), 'Grace', cable.url);
    const both = [ada, grace];

    await check('people on two servers see each other', async () => {
      for (const [page, name] of [[ada, 'Grace'], [grace, 'Ada']]) {
        await shows(page, '#people', name);
        await shows(page, '#count', 'In room 1 now: 2');
      }
    });
    await check('what one says on one server the other reads on the other', async () => {
      await say(ada, 'Grüße von der ersten 🐟');
      await shows(grace, '#scroller', 'Grüße von der ersten 🐟');
      await say(grace, 'Hello from the second');
      await areTheSame(both, [], ['Grüße von der ersten 🐟', 'Hello from the second']);
      for (const [page, name] of [[ada, 'first-server'], [grace, 'second-server']]) await screenshot(page, name);
    });
    await check('who types on one server is seen on the other', async () => {
      await grace.locator('#text').pressSequentially('I am ty');
      await shows(ada, '#typing', 'Grace is typing');
      await grace.fill('#text', '');
    });
    await check('who comes later, to whatever server, reads what was said on both', async () => {
      const expected = await lines(ada);
      for (const [name, url] of [['Barbara', args.url], ['Radia', args.other]]) {
        const context = await browser();
        const late = await enter(context, name, url);
        await has(late, expected);
        assert.deepEqual(await lines(late), expected);
        await context.close();
      }
    });

    await check('a page whose server is killed catches up by itself', async () => {
      const before = await lines(ada);
      kill(args['other-pid']);
      await shows(grace, '#status', 'no connection');
      await write(grace, 'Said without a server');
      const missed = Array.from({ length: 10 }, (_, index) => `Grace misses this ${index + 1}.`);
      for (const text of missed) await say(ada, text);
      await screenshot(grace, 'server-killed');
      await shows(grace, '#status', 'connected');
      await areTheSame(both, before, [...missed, 'Said without a server']);
      await screenshot(grace, 'server-back');
    });
    await check('a page goes on at another server where it was', async () => {
      const before = await lines(ada);
      await cable.cut();
      await shows(grace, '#status', 'no connection');
      await say(ada, 'On its way to the other server');
      cable.target = args.url;
      await cable.heal();
      // As a browser says when the cable is back.
      await grace.evaluate(() => dispatchEvent(new Event('online')));
      await shows(grace, '#status', 'connected');
      await say(grace, 'Here I am');
      await areTheSame(both, before, ['On its way to the other server', 'Here I am']);
      // Back to its own server, for what follows.
      await cable.cut();
      cable.target = args.other;
      await cable.heal();
      await shows(grace, '#status', 'no connection');
      await grace.evaluate(() => dispatchEvent(new Event('online')));
      await shows(grace, '#status', 'connected');
    });
    await check('whose server is killed has left for the others, but for those who come back', async () => {
      const lynnsCable = await Network.to(args.url);
      const lynn = await enter(await browser(), 'Lynn', lynnsCable.url);
      await shows(grace, '#people', 'Lynn');
      await lynnsCable.cut();
      kill(args.pid);
      await lacks(grace, '#people', 'Lynn');
      await shows(grace, '#people', 'Ada');
      await screenshot(grace, 'somebody-gone');
      lynnsCable.target = args.other;
      await lynnsCable.heal();
      await lynn.evaluate(() => dispatchEvent(new Event('online')));
      for (const page of both) await shows(page, '#people', 'Lynn');
      await lynn.context().close();
      for (const page of both) await lacks(page, '#people', 'Lynn');
    });
    await check('what is said while the broker is away comes when it is back', async () => {
      const before = await lines(ada);
      kill(args['broker-pid']);
      const waiting = ['Said to the first server', 'Said to the second server'];
      // Looked for beforehand: the broker may be back soon.
      const pending = both.map((page, index) => shows(page, '.line.pending', waiting[index]));
      for (const [index, page] of both.entries()) await write(page, waiting[index]);
      await Promise.all(pending);
      await screenshot(ada, 'broker-killed');
      await areTheSame(both, before, waiting);
      await say(grace, 'The broker has forgotten nothing');
      await areTheSame(both, before, [...waiting, 'The broker has forgotten nothing']);
      await screenshot(ada, 'broker-back');
      const late = await enter(await browser(), 'Hedy');
      const expected = await lines(ada);
      await has(late, expected);
      assert.deepEqual(await lines(late), expected);
    });
    assert.deepEqual(pageErrors, [], 'the page fails');
  }),
);
