// Chromium at the documentation that rustdoc has made: what a search finds first.

import assert from 'node:assert/strict';
import { withBrowser } from './browser.mjs';
import { args, check, script } from './check.mjs';

const FOUND = '#search .search-results.active > a';

await script('the search of the documentation', () =>
  withBrowser(async (context) => {
    const page = await context.newPage();
    for (const { word, first } of JSON.parse(args.input)) {
      await check(`"${word}" finds ${first}`, async () => {
        await page.goto(`${args.url}?search=${encodeURIComponent(word)}&filter-crate=sockeye`);
        await page.waitForSelector('#search-tabs .selected .count:not(.loading)');
        // A result of an alias is "nginx - see sockeye::guide::deploying".
        const results = await page.$$eval(`${FOUND} .result-name`, (names) =>
          names.map((name) => name.textContent.trim().split(/\s+/).at(-1)));
        assert.equal(results[0], first, `found: ${results.slice(0, 3).join(', ') || 'nothing'}`);
      });
    }
  }),
);
