// Chromium at example-chat: browsers, rooms, a network that is cut, and a server that is started again.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { screenshot, withBrowsers } from './browser.mjs';
import { enter, lacks, lines, open, pageErrors, say, shows } from './chat-page.mjs';
import { args, check, interruptServer, script } from './check.mjs';
import { Network, report, runCases, serveCases } from './rooms-network.mjs';

/** For how long the network of a page is cut, in milliseconds. */
const CUT = 10_000;

/** Another server, with an empty memory. */
async function startAnother() {
  const child = spawn(args.chat, ['--addr', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  process.once('exit', () => child.kill('SIGKILL'));
  for await (const line of createInterface(child.stdout)) {
    const match = /listening on (http:\S+)/.exec(line);
    if (match) return { child, url: match[1] };
  }
  throw new Error('the second server does not say where it listens');
}

await script('Chromium at example-chat', () =>
  withBrowsers(async (browser) => {
    await check('the cases', async () => {
      const page = await (await browser()).newPage();
      await page.goto(await serveCases());
      report(await page.evaluate(runCases));
      await page.close();
    });

    const [adas, graces] = [await browser(), await browser()];
    const [network, adasNetwork] = [await Network.to(args.url), await Network.to(args.url)];
    const ada = await enter(adas, 'Ada', adasNetwork.url);
    const grace = await enter(graces, 'Grace', network.url);

    await check('two people in two browsers see each other', async () => {
      await shows(ada, '#people', 'Grace');
      await shows(grace, '#people', 'Ada');
      await shows(ada, '#count', 'In room 1 now: 2');
      await shows(ada, '#status', 'connected');
    });
    await check('what one types the other reads', async () => {
      await say(ada, 'Grüße von Ada 🐟');
      await shows(grace, '#scroller', 'Grüße von Ada 🐟');
      await say(grace, 'Hello from Grace');
      await shows(ada, '#scroller', 'Hello from Grace');
    });
    await check("one's own lines look different", async () => {
      const background = (page, text) =>
        page.locator('.line', { hasText: text }).evaluate((line) => getComputedStyle(line).backgroundColor);
      assert.notEqual(await background(ada, 'Grüße von Ada'), await background(grace, 'Grüße von Ada'));
      assert.notEqual(await background(ada, 'Grüße von Ada'), await background(ada, 'Hello from Grace'));
    });
    await check('what looks like a tag is shown, and does nothing', async () => {
      const tag = '<img src="x" onerror="document.title = 1"><b>bold</b>';
      await say(ada, tag);
      await shows(grace, '#scroller', tag);
      assert.equal(await grace.locator('#scroller img, #scroller b').count(), 0);
    });
    await check('who types is seen', async () => {
      await grace.locator('#text').pressSequentially('I am ty');
      await shows(ada, '#typing', 'Grace is typing');
      await screenshot(ada, 'typing');
      await grace.fill('#text', '');
    });
    await check('who comes later reads what was said before, on a phone in the dark', async () => {
      const phone = await browser({ viewport: { width: 360, height: 640 }, colorScheme: 'dark', deviceScaleFactor: 2 });
      const late = await enter(phone, 'Barbara');
      await shows(late, '#scroller', 'Hello from Grace');
      assert.equal(await late.evaluate(() => document.documentElement.scrollWidth), 360);
      await screenshot(late, 'phone');
      await phone.close();
      await lacks(ada, '#people', 'Barbara');
    });
    await check('another room has people and lines of its own', async () => {
      await ada.fill('#other', '2');
      await ada.press('#other', 'Enter');
      await shows(ada, '#tabs [aria-selected=true]', 'Room 2');
      await shows(ada, '#count', 'In room 2 now: 1');
      await say(grace, 'Is anybody in room 1?');
      await shows(ada, '#tabs .unread', '1');
      await say(ada, 'Only room 2 hears this');
      await lacks(ada, '#scroller', 'Is anybody in room 1?');
      await screenshot(ada, 'two-rooms');
      await ada.click('#tabs :text("Room 1")');
      await shows(ada, '#scroller', 'Is anybody in room 1?');
      await lacks(grace, '#scroller', 'Only room 2 hears this');
    });
    await check('a name that is taken is refused at its field, and another one is not', async () => {
      const others = await browser();
      const other = await open(others, 'grace');
      await other.click('#join');
      await shows(other, '#name-problem', 'somebody named Grace already');
      assert.equal(await other.getAttribute('#name', 'aria-invalid'), 'true');
      await screenshot(other, 'taken');
      await other.fill('#name', 'Grace Hopper');
      await other.click('#join');
      await shows(other, '#people', 'Grace Hopper (you)');
      await others.close();
      await lacks(ada, '#people', 'Grace Hopper');
    });

    await check('a page whose network is cut for 10 s loses no line', async () => {
      const before = await lines(grace);
      const healed = sleep(CUT);
      await network.cut();
      await shows(grace, '#status', 'no connection');
      await grace.fill('#text', 'Said without a network');
      await grace.press('#text', 'Enter');
      const missed = Array.from({ length: 10 }, (_, index) => `Grace misses this ${index + 1}`);
      for (const text of missed) await say(ada, text);
      await shows(grace, '.line.pending', 'Said without a network');
      await screenshot(grace, 'cut');
      await healed;
      await network.heal();
      // As a browser says when the cable is back; without it, the wait may have grown to 16 s.
      await grace.evaluate(() => dispatchEvent(new Event('online')));
      await grace.locator('.line.own[data-at]', { hasText: 'Said without a network' }).waitFor();
      await shows(ada, '#scroller', 'Said without a network');
      const expected = [...before, ...missed, 'Said without a network'];
      assert.deepEqual(await lines(grace), expected);
      assert.deepEqual(await lines(ada), expected);
      assert.equal(await grace.locator('.gap').count(), 0);
      await shows(grace, '#status', 'connected');
      await screenshot(grace, 'healed');
    });
    await check('after a restart of the server the page says that there is a gap, and goes on', async () => {
      interruptServer();
      await shows(ada, '#status', 'no connection');
      await shows(grace, '#status', 'no connection');
      await screenshot(ada, 'no-server');
      const { child, url } = await startAnother();
      for (const each of [network, adasNetwork]) each.target = url;
      for (const page of [ada, grace]) {
        await shows(page, '#status', 'connected');
        await shows(page, '.gap', 'Lines may be missing here');
      }
      await say(ada, 'Said to the new server');
      await shows(grace, '#scroller', 'Said to the new server');
      await shows(ada, '#people', 'Grace');
      await screenshot(ada, 'gap');
      child.kill('SIGINT');
    });
    assert.deepEqual(pageErrors, [], 'the page fails');
  }),
);
