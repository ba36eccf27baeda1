// Starts the browser that `cargo xtask test` found: `const { browser, page } = await open()`, `await browser.close()`.
//
// The environment names what is needed: CHROMIUM (the browser's path), NODE_MODULES (the folder that has
// playwright-core, in the target folder) and SWOOP (the binary under test).

import { createRequire } from 'node:module';
import { join } from 'node:path';

function needed(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the browser tests by \`cargo xtask test\``);
  return value;
}

const { chromium } = createRequire(join(needed('NODE_MODULES'), 'playwright-core', 'package.json'))('playwright-core');

/** The path of the binary under test. */
export const swoop = needed('SWOOP');

/** A browser with an empty profile, and one page. An error in the page's scripts fails the test that has it open. */
export async function open({ width = 1440, height = 900, colorScheme = 'dark' } = {}) {
  const browser = await chromium.launch({
    executablePath: needed('CHROMIUM'),
    // The page comes from loopback: no sandbox is needed (it cannot be had as root), nor any background traffic.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  const page = await browser.newPage({ viewport: { width, height }, colorScheme, acceptDownloads: true });
  page.on('pageerror', (error) => {
    throw error;
  });
  return { browser, page };
}
