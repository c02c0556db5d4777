/**
 * The timeline in a real browser, at 3,000 and at 200,000 photos: until something is seen, what the tab
 * holds, and how evenly it scrolls. All photos share one file: what differs between two runs is the page.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, CDPSession, Page } from 'playwright-core'
import sharp from 'sharp'
import { ADMIN } from '../tests/support/client.ts'
import { cloneAssets } from '../tests/support/clone-assets.ts'
import { launchBrowser } from '../tests/support/page/browser.ts'
import { openStack } from './cleanup.ts'
import { cpuSecondsOf, peakRssMbOf } from './processes.ts'
import type { BenchRow } from './report.ts'
import { type ServerUnderTest, serverUnderTest } from './server-under-test.ts'
import { median, quantile } from './statistics.ts'

const LIBRARIES = [
  { months: 60, perMonth: 50 },
  { months: 200, perMonth: 1_000 },
]
const LOADS = 3
const VIEWPORT = { width: 1440, height: 900 }
const PROCESSED_LIMIT_MS = 60_000
/** Of a wheel: turned slowly, and as fast as a finger goes. */
const WHEELS = [
  { name: 'slow', pixels: 120, everyMs: 50, turns: 100 },
  { name: 'fast', pixels: 1_500, everyMs: 30, turns: 100 },
]

type Found = Record<string, { value: number; unit: string }>

export async function benchPage(): Promise<BenchRow[]> {
  const rows: BenchRow[] = []
  for (const library of LIBRARIES) rows.push(...(await benchLibrary(library)))
  return rows
}

async function benchLibrary(library: { months: number; perMonth: number }): Promise<BenchRow[]> {
  await using stack = openStack()
  const server = await serverUnderTest(stack, {})
  await fill(server, library)
  const browser = await launchBrowser()
  stack.defer(() => browser.close())
  const found = await lookAt(browser, server)
  const cpuSeconds = await cpuSecondsOf(server.pid, [server.databasePid])
  const peakRssMb = await peakRssMbOf(server.pid)
  const count = library.months * library.perMonth
  return Object.entries(found).map(([what, { value, unit }]) => ({
    name: `page: ${what}, ${count.toLocaleString('en')} photos`,
    ours: value,
    limit: null,
    ratio: null,
    target: null,
    unit,
    cpuSeconds,
    peakRssMb,
    note: `Chromium, ${VIEWPORT.width}x${VIEWPORT.height}. CPU and peak are the server's, for all figures of the page together.`,
  }))
}

async function fill({ client, database }: ServerUnderTest, library: { months: number; perMonth: number }) {
  const picture = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#886644' } })
    .jpeg()
    .toBuffer()
  const { id } = await client.upload(picture, 'photo.jpg')
  const deadline = performance.now() + PROCESSED_LIMIT_MS
  for (;;) {
    const { rows } = await database.query(
      `select from asset where id = $1 and processing = 'done' and thumbhash is not null`,
      [id],
    )
    if (rows.length === 1) break
    if (performance.now() > deadline) throw new Error('the photo is not processed')
    await sleep(100)
  }
  // Only of queries, which the client of a benchmark has as well.
  await cloneAssets(database as never, id, library)
  await database.query('analyze')
}

async function lookAt(browser: Browser, server: ServerUnderTest): Promise<Found> {
  const loads: { paintMs: number; photoMs: number }[] = []
  let found: Found = {}
  for (let load = 0; load < LOADS; load++) {
    const context = await browser.newContext({ baseURL: server.url, viewport: VIEWPORT, locale: 'en-GB' })
    const page = await context.newPage()
    await page.goto('/auth/login')
    await page.getByLabel('E-mail').fill(ADMIN.email)
    await page.getByLabel('Password').fill(ADMIN.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/photos')
    await page.locator('img.shown').first().waitFor()
    loads.push(await timeLoad(page))
    if (load === LOADS - 1) found = { ...(await whatItHolds(page)), ...(await scroll(page)) }
    await context.close()
  }
  return {
    'first paint, warm': { value: median(loads.map(({ paintMs }) => paintMs)), unit: 'ms' },
    'first photo, warm': { value: median(loads.map(({ photoMs }) => photoMs)), unit: 'ms' },
    ...found,
  }
}

/** The second visit: what can be cached is. */
async function timeLoad(page: Page): Promise<{ paintMs: number; photoMs: number }> {
  const beganAt = performance.now()
  await page.goto('/photos')
  await page.locator('img.shown').first().waitFor()
  const photoMs = performance.now() - beganAt
  const paintMs = (await page.evaluate(
    `performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1`,
  )) as number
  await page.waitForLoadState('networkidle')
  return { paintMs, photoMs }
}

async function whatItHolds(page: Page): Promise<Found> {
  const session = await page.context().newCDPSession(page)
  const heap = await heapMb(session)
  const elements = (await page.evaluate(`document.querySelectorAll('*').length`)) as number
  const tiles = await page.locator('a[data-id]').count()
  return {
    'heap at rest': { value: heap, unit: 'MB' },
    'elements of the document': { value: elements, unit: '' },
    'photos drawn': { value: tiles, unit: '' },
  }
}

async function heapMb(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  return usedSize / 1e6
}

async function scroll(page: Page): Promise<Found> {
  const found: Found = {}
  await page.mouse.move(VIEWPORT.width / 2, VIEWPORT.height / 2)
  for (const { name, pixels, everyMs, turns } of WHEELS) {
    await page.evaluate(`{
      window.frames_ = []; let last = performance.now(); window.isWatched_ = true
      const watch = (now) => { window.frames_.push(now - last); last = now; if (window.isWatched_) requestAnimationFrame(watch) }
      requestAnimationFrame(watch)
    }`)
    for (let turn = 0; turn < turns; turn++) {
      await page.mouse.wheel(0, pixels)
      await sleep(everyMs)
    }
    const frames = (await page.evaluate(`window.isWatched_ = false; window.frames_.slice(1)`)) as number[]
    found[`frames of a ${name} wheel, p50`] = { value: quantile(frames, 0.5), unit: 'ms' }
    found[`frames of a ${name} wheel, p95`] = { value: quantile(frames, 0.95), unit: 'ms' }
    await page.waitForLoadState('networkidle')
  }
  const session = await page.context().newCDPSession(page)
  found['heap after scrolling'] = { value: await heapMb(session), unit: 'MB' }
  return found
}
