/** What suites of the page share: the page as it is built now, and one browser for all tests of a process. */
import { execFile } from 'node:child_process'
import { after, before, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { ADMIN } from '../client.ts'
import { openPage, type WatchedPage } from './browser.ts'
import { closePages, sharedBrowser } from './shared-browser.ts'
import { logIn } from './sheet-page.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname

/** What a phone's browser says of itself. */
export const PHONE: BrowserContextOptions = {
  viewport: { width: 390, height: 844 },
  isMobile: true,
  hasTouch: true,
}

export type PageSuite = {
  browser(): Browser
  /** A page on which somebody is logged in, the administrator if nobody is named; it goes with the test. */
  open(
    t: TestContext,
    url: string,
    options?: BrowserContextOptions & { who?: { email: string; password: string } },
  ): Promise<WatchedPage>
}

/** Call it inside of `describe`. */
export function pageSuite(): PageSuite {
  let browser: Browser
  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    browser = await sharedBrowser()
  })
  after(closePages)
  return {
    browser: () => browser,
    async open(t, url, { who = ADMIN, ...options } = {}) {
      const watched = await openPage(browser, url, options)
      t.after(() => watched.page.context().close())
      await logIn(watched.page, who)
      return watched
    },
  }
}

/** A touch, as a finger makes it: `page.tap` would wait for an element that takes it. */
export async function tapAt(page: Page, x: number, y: number): Promise<void> {
  await page.touchscreen.tap(x, y)
}

/** Two taps, 0.1 s apart by their own times, however long the machine takes for them. */
export async function doubleTapAt(page: Page, x: number, y: number): Promise<void> {
  const session = await page.context().newCDPSession(page)
  const began = Date.now() / 1_000
  for (const at of [began, began + 0.1]) {
    await session.send('Input.dispatchTouchEvent', {
      type: 'touchStart',
      touchPoints: [{ x, y }],
      timestamp: at,
    })
    await session.send('Input.dispatchTouchEvent', {
      type: 'touchEnd',
      touchPoints: [],
      timestamp: at + 0.03,
    })
  }
  await session.detach()
}

/** A finger that stays on one place while something is looked at. */
export async function holdAt(
  page: Page,
  x: number,
  y: number,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const session = await page.context().newCDPSession(page)
  await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [{ x, y }] })
  await meanwhile()
  await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
  await session.detach()
}
