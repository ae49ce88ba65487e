// Chromium at the documentation that rustdoc has made: what a search finds first.

import assert from 'node:assert/strict';
import { withBrowser } from './browser.mjs';
import { PATIENCE, args, check, script } from './check.mjs';

const FOUND = '#search .search-results.active > a';
const OVER = '#search-tabs .selected .count:not(.loading)';

/** Searches for a word. Some searches of rustdoc never end (a few of a thousand, here as by hand), and do when tried again. */
async function search(page, word) {
  const address = `${args.url}?search=${encodeURIComponent(word)}&filter-crate=sockeye`;
  for (let tries = 3; ; tries -= 1) {
    await page.goto(address);
    try {
      return await page.waitForSelector(OVER, { timeout: PATIENCE / 4 });
    } catch (error) {
      if (tries === 1) throw error;
    }
  }
}

await script('the search of the documentation', () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    for (const { word, first } of JSON.parse(args.input)) {
      await check(`"${word}" finds ${first}`, async () => {
        await search(page, word);
        // A result of an alias is "nginx - see sockeye::guide::deploying".
        const results = await page.$$eval(`${FOUND} .result-name`, (names) =>
          names.map((name) => name.textContent.trim().split(/\s+/).at(-1)));
        assert.equal(results[0], first, `found: ${results.slice(0, 3).join(', ') || 'nothing'}`);
      });
    }
  }),
);
