/** The upload panel and the tiles of the sheet, as tests of the page reach them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Locator, Page } from 'playwright-core'

/**
 * A small machine with other work to do needs its time for a HEIC; waiting ends as soon as the state is
 * there.
 */
export const UPLOAD_LIMIT_MS = 90_000

/** Through the button and the browser's own file chooser. */
export async function pickFiles(page: Page, paths: string[]): Promise<void> {
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page
      .getByRole('button', { name: /^(Choose files|Upload)$/ })
      .first()
      .click(),
  ])
  await chooser.setFiles(paths)
}

/** Waits for the end of all uploads, told in these words. */
export async function uploadsFinish(page: Page, summary: RegExp): Promise<void> {
  const panel = page.getByLabel('Uploads', { exact: true })
  const isOver = page.getByRole('button', { name: 'Close the panel' })
  await panel
    .locator('header')
    .filter({ has: isOver, hasText: summary })
    .waitFor({ timeout: UPLOAD_LIMIT_MS })
}

/** What the panel says of one file, folded away or not. */
export function uploadState(page: Page, name: string): Promise<string | null> {
  return page
    .getByLabel('Uploads', { exact: true })
    .locator('li')
    .filter({ has: page.getByTitle(name) })
    .locator('.state')
    .textContent()
    .then((text) => text?.trim() ?? null)
}

type Asset = {
  id: string
  originalFileName: string
  thumbhash: string | null
  processingError: string | null
}

/** The id of every asset outside the trash, by its file's name. */
export async function idsByName(page: Page): Promise<Map<string, string>> {
  return new Map((await readAssets(page)).map(({ id, originalFileName }) => [originalFileName, id]))
}

/** Waits until every asset has its previews, or the reason why it has none. */
export async function allProcessed(page: Page): Promise<void> {
  const deadline = Date.now() + UPLOAD_LIMIT_MS
  for (;;) {
    const assets = await readAssets(page)
    const waiting = assets.filter(({ thumbhash, processingError }) => !thumbhash && !processingError)
    if (waiting.length === 0) return
    if (Date.now() > deadline) throw new Error(`${waiting.length} assets are still not processed`)
    await sleep(200)
  }
}

async function readAssets(page: Page): Promise<Asset[]> {
  const response = await page.request.post('/api/search/metadata', { data: { size: 1000 } })
  return ((await response.json()) as { assets: { items: Asset[] } }).assets.items
}

/** The photograph on the sheet. */
export function tileOf(page: Page, id: string): Locator {
  return page.locator(`a[data-id="${id}"]`)
}

/** By the key for it, as somebody types who knows when. */
export async function goToDate(page: Page, date: string): Promise<void> {
  await page.getByRole('slider', { name: 'Date' }).waitFor()
  await page.keyboard.press('g')
  await page.getByRole('dialog', { name: 'Go to a date' }).getByLabel('Date').fill(date)
  await page.keyboard.press('Enter')
}

/** By the form, as everybody does; ends on the photos. */
export async function logIn(page: Page, who: { email: string; password: string }): Promise<void> {
  await page.goto('/auth/login')
  await page.getByLabel('E-mail').fill(who.email)
  await page.getByLabel('Password', { exact: true }).fill(who.password)
  await page.keyboard.press('Enter')
  await page.waitForURL('**/photos')
}
