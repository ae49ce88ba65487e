// The page of example-chat, as a visitor uses it.

import { PATIENCE, args } from './check.mjs';

/** What went wrong in a page, in its own words. */
export const pageErrors = [];

/** Opens a tab, and writes this name into its field. */
export async function open(context, name, url = args.url) {
  const page = await context.newPage();
  page.on('pageerror', (error) => pageErrors.push(`${name}: ${error.message}`));
  await page.goto(`${url}/`);
  await page.fill('#name', name);
  return page;
}

/** Opens a tab, and enters under this name. */
export async function enter(context, name, url) {
  const page = await open(context, name, url);
  await page.click('#join');
  await shows(page, '#people', `${name} (you)`);
  return page;
}

/** Waits until the element contains the text. */
export function shows(page, selector, text) {
  const has = ({ selector, text }) => document.querySelector(selector)?.textContent.includes(text);
  return page.waitForFunction(has, { selector, text }, { timeout: PATIENCE });
}

/** Waits until it does not. */
export function lacks(page, selector, text) {
  const has = ({ selector, text }) => !document.querySelector(selector)?.textContent.includes(text);
  return page.waitForFunction(has, { selector, text }, { timeout: PATIENCE });
}

/** Sends a line, and waits until it has its place in the history. */
export async function say(page, text) {
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
  await page.locator('.line.own[data-at]', { hasText: text }).last().waitFor();
}

/** The texts of the lines on the page, in their order. */
export const lines = (page) => page.locator('#scroller .line p').allTextContents();
