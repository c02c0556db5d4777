/**
 * Takes the README's pictures anew: `node tests/acceptance/pages/take-screenshots.ts`. A real server with the
 * demonstration bucket gets a selection of the real test photos, dated as one family's summer would be, and a
 * real browser shows it.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { ADMIN, type Client, connectClient } from '../../support/client.ts'
import { mediaFolder } from '../../support/files/media.ts'
import { launchBrowser, needsBrowser, openPage } from '../../support/page/browser.ts'
import { allProcessed } from '../../support/page/sheet-page.ts'
import { spawnServer } from '../../support/spawn-server.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const IMAGES = join(PROJECT, 'docs', 'images')
const LARGEST_BYTES = 400_000
const DESKTOP = { width: 1440, height: 900 }
const PHONE = { width: 390, height: 844 }
const VIEWED = 'Canon PowerShot G11.jpg'

/** Files in the media folder, by the local time at which each is shown, newest first. */
const LIBRARY: [takenAt: string, file: string][] = [
  ['2025-08-30T19:42', 'metadata-extractor/jpg/Canon PowerShot G11.jpg'],
  ['2025-08-30T14:10', 'exif-samples/jpg/mobile/HMD_Nokia_8.3_5G.jpg'],
  ['2025-08-30T11:25', 'exif-samples/jpg/tests/28-hex_value.jpg'],
  ['2025-08-24T16:05', 'metadata-extractor/jpg/Nikon D100.jpg'],
  ['2025-08-24T15:12', 'exif-samples/jpg/tests/11-tests.jpg'],
  ['2025-08-23T12:40', 'metadata-extractor/mp4/Issue 515 (java).mp4'],
  ['2025-08-17T17:20', 'metadata-extractor/jpg/Olympus C720UZ.jpg'],
  ['2025-08-17T10:31', 'metadata-extractor/jpg/Motorola XT1068 (Moto G).jpg'],
  ['2025-08-09T13:03', 'exif-samples/jpg/exif-org/fujifilm-mx1700.jpg'],
  ['2025-08-09T12:48', 'metadata-extractor/jpg/Nikon E5700.jpg'],
  ['2025-08-03T18:36', 'metadata-extractor/jpg/HTC One.jpg'],
  ['2025-08-03T18:02', 'metadata-extractor/jpg/Epson PhotoPC 3000Z.jpg'],
  ['2025-08-02T15:44', 'exif-samples/jpg/gps/DSCN0010.jpg'],
  ['2025-07-26T15:21', 'exif-samples/jpg/gps/DSCN0042.jpg'],
  ['2025-07-26T14:58', 'exif-samples/jpg/gps/DSCN0029.jpg'],
  ['2025-07-19T09:12', 'exif-samples/jpg/hdr/iphone_hdr_YES.jpg'],
  ['2025-07-12T20:15', 'metadata-extractor/jpg/Canon IXUS 430.jpg'],
  ['2025-07-12T11:11', 'metadata-extractor/jpg/Issue 308.jpg'],
  ['2025-07-05T13:37', 'metadata-extractor/other/webp/Photo (1).webp'],
  ['2025-06-21T16:16', 'metadata-extractor/jpg/FujiFilm MX-1200.jpg'],
  ['2025-06-21T15:55', 'exif-samples/jpg/mobile/jolla.jpg'],
  ['2025-06-14T21:40', 'metadata-extractor/other/webp/Photo (2).webp'],
  ['2025-06-14T10:08', 'metadata-extractor/jpg/Minolta DiMAGE EX.jpg'],
  ['2025-06-01T12:00', 'exif-samples/jpg/tests/33-type_error.jpg'],
  ['2025-05-18T12:00', 'metadata-extractor/jpg/FujiFilm FinePix F40fd.jpg'],
  ['2025-05-04T18:20', 'exif-samples/jpg/tests/30-type_error.jpg'],
  ['2025-05-04T11:45', 'metadata-extractor/jpg/Blackberry Z10.jpg'],
  ['2024-12-28T14:22', 'exif-samples/jpg/tests/36-memory_error.jpg'],
  ['2024-12-28T13:50', 'metadata-extractor/jpg/Canon PowerShot A70.jpg'],
  ['2024-10-12T15:32', 'exif-samples/jpg/exif-org/nikon-e950.jpg'],
  ['2024-08-03T12:41', 'metadata-extractor/other/webp/Nikon Coolpix P7000.webp'],
  ['2023-09-16T12:41', 'metadata-extractor/jpg/Kodak PIXPRO SP360.jpg'],
  ['2022-04-10T12:41', 'orientation/Landscape_6.jpg'],
]

async function fillLibrary(client: Client): Promise<Map<string, string>> {
  const ids = new Map<string, string>()
  for (const [takenAt, file] of LIBRARY) {
    const name = basename(file)
    const { id } = await client.upload(await readFile(join(mediaFolder(), file)), name)
    ids.set(name, id)
    await client.json(`/assets/${id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ dateTimeOriginal: `${takenAt}:00+02:00` }),
    })
  }
  return ids
}

async function allOffloaded(client: Client): Promise<void> {
  for (;;) {
    const { originals } = await client.json<{
      originals: Record<'total' | 'offloaded', { count: number }>
    }>('/storage/status')
    if (originals.offloaded.count === originals.total.count) return
    await sleep(250)
  }
}

/** Every picture in the window is there, in its sharp version where it has one. */
async function allShown(page: Page): Promise<void> {
  await page.waitForLoadState('networkidle')
  await page.locator('img.shown').first().waitFor()
  // The sharper pictures are asked for when nothing has moved for a while.
  await sleep(1_500)
  await page.waitForLoadState('networkidle')
}

async function save(page: Page, name: string): Promise<void> {
  const picture = await page.screenshot({ animations: 'disabled' })
  const path = join(IMAGES, name)
  for (const colours of [256, 128, 64]) {
    await sharp(picture).png({ palette: true, colours, effort: 10, compressionLevel: 9 }).toFile(path)
    if ((await stat(path)).size <= LARGEST_BYTES) break
  }
  console.log(`${name}: ${Math.round((await stat(path)).size / 1000)} kB`)
}

async function takeAll(url: string): Promise<void> {
  const client = await connectClient(url)
  const ids = await fillLibrary(client)
  const browser = await launchBrowser()
  try {
    const { page } = await openPage(browser, url, { viewport: DESKTOP, colorScheme: 'light' })
    await page.goto('/auth/login')
    await page.getByLabel('E-mail').fill(ADMIN.email)
    await page.getByLabel('Password').fill(ADMIN.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/photos')
    await allProcessed(page)
    await allOffloaded(client)
    await page.reload()
    await allShown(page)
    await save(page, 'timeline-light.png')
    await page.emulateMedia({ colorScheme: 'dark' })
    await save(page, 'timeline-dark.png')

    await page.goto(`/photos/${ids.get(VIEWED)}`)
    await page.getByRole('dialog', { name: VIEWED }).waitFor()
    await page.keyboard.press('i')
    await page
      .getByRole('complementary', { name: 'Information' })
      .getByText('SHA-256', { exact: true })
      .waitFor()
    await allShownInViewer(page)
    await save(page, 'viewer.png')

    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto('/storage')
    await page.getByText('originals are proven in').waitFor()
    await save(page, 'storage-light.png')

    const storageState = await page.context().storageState()
    const phone = await openPage(browser, url, {
      viewport: PHONE,
      isMobile: true,
      hasTouch: true,
      colorScheme: 'light',
      storageState,
    })
    await phone.page.goto('/photos')
    await allShown(phone.page)
    await save(phone.page, 'phone.png')
  } finally {
    await browser.close()
  }
}

async function allShownInViewer(page: Page): Promise<void> {
  await page.getByRole('img', { name: VIEWED }).waitFor()
  await page.waitForLoadState('networkidle')
}

const { skip } = await needsBrowser()
if (skip !== false) process.exit(1)
await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
await mkdir(IMAGES, { recursive: true })
const folder = await mkdtemp(join(tmpdir(), 'glassine-pictures-'))
await mkdir(join(folder, 'data'))
const server = await spawnServer({ dataDir: join(folder, 'data'), config: '' })
try {
  await takeAll(server.url)
} finally {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
}
