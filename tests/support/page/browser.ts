/**
 * A real browser for tests: Debian's Chromium, driven by playwright-core. Every page that `openPage` makes
 * writes down what no page of ours may do: errors on the console, refusals by the content security policy,
 * failed requests.
 */
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { installPackages } from '../services/apt.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']
/** A machine with other work to do answers late; nothing here waits that long when it works. */
const ACTION_LIMIT_MS = 20_000
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Path of a Chromium on this machine, or null. */
async function findChromium(): Promise<string | null> {
  const folders = ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)]
  for (const path of NAMES.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return null
}

/** Why no browser can run here, or null where one can; root installs what is missing. */
async function whyNoBrowser(): Promise<string | null> {
  if ((await findChromium()) !== null) return null
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'Chromium is not installed, and only root on Debian may install it'
  try {
    await installPackages('chromium')
  } catch (error) {
    return `Chromium could not be installed: ${(error as Error).message}`
  }
  return (await findChromium()) === null ? 'apt-get installed no Chromium' : null
}

/**
 * For `test` and `describe` options: `{ skip }` is false where a browser runs. Where none can, says so on
 * standard error and gives the reason; throws in CI.
 */
export async function needsBrowser(): Promise<{ skip: string | false }> {
  const reason = await whyNoBrowser()
  if (reason === null) return { skip: false }
  if (process.env.CI === 'true') throw new Error(`the browser suites cannot run: ${reason}`)
  process.stderr.write(`\n*** NOT TESTED in a browser: ${reason}\n\n`)
  return { skip: reason }
}

/** Headless. `needsBrowser` has been asked before. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = await findChromium()
  if (executablePath === null) throw new Error('no Chromium on this machine')
  return chromium.launch({ executablePath, args: ARGUMENTS })
}

export type WatchedPage = {
  page: Page
  /** What went wrong on it so far, in words; empty again after the call. */
  takeProblems(): string[]
  /** An answer that the test provokes: `status` to `path`, which is no problem then. */
  expect(status: number, path: RegExp): void
}

/** A page in a context of its own, that is: another person's browser. */
export async function openPage(
  browser: Browser,
  baseURL: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({
    baseURL,
    locale: 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: 1280, height: 800 },
    reducedMotion: 'reduce',
    ...options,
  })
  context.setDefaultTimeout(ACTION_LIMIT_MS)
  const page = await context.newPage()
  let problems: string[] = []
  const expected: { status: number; path: RegExp }[] = []
  // The page asks whether the bucket lets it in with a put that must be refused.
  const isCheck = (url: string) => /X-Amz-Signature=0{64}/.test(url)
  const isExpected = (status: number, url: string) =>
    (status === 403 && isCheck(url)) ||
    expected.some((answer) => answer.status === status && answer.path.test(new URL(url).pathname))

  page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack ?? error.message}`))
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return
    // Chromium writes each answer from 400 on to the console, too; those are judged below.
    if (message.text().startsWith('Failed to load resource')) return
    problems.push(`console ${message.type()}: ${message.text()} (${message.location().url})`)
  })
  page.on('response', (response) => {
    if (response.status() < 400 || isExpected(response.status(), response.url())) return
    problems.push(`${response.request().method()} ${response.url()} answered ${response.status()}`)
  })
  page.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText ?? ''
    // The page itself gives up what nobody will see, and a download leaves the page's hands.
    if (reason === 'net::ERR_ABORTED') return
    problems.push(`${request.method()} ${request.url()} failed: ${reason}`)
  })
  return {
    page,
    takeProblems() {
      const taken = problems
      problems = []
      return taken
    },
    expect: (status, path) => void expected.push({ status, path }),
  }
}

/**
 * Drops files and folders from the disk onto the middle of the page, as the desktop would: the page gets real
 * entries, so that folders can be walked. Playwright itself has no drag from outside.
 */
export async function dropFromDesktop(page: Page, paths: string[]): Promise<void> {
  const { width, height } = page.viewportSize()!
  const session = await page.context().newCDPSession(page)
  const at = { x: Math.round(width / 2), y: Math.round(height / 2) }
  const data = { items: [], files: paths, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, ...at, data })
  }
  await session.detach()
}
