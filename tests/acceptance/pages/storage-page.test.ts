/** The storage page in every state that it has, in a real browser: light, dark, on a phone. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import type { StrictS3 } from 'strict-s3'
import { ADMIN, connectClient } from '../../support/client.ts'
import { needsBrowser, openPage, type WatchedPage } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import { backUp, putBack } from '../../support/restored-folder.ts'
import { drained, photo, probed, startServerWithBucket } from '../../support/server-with-bucket.ts'
import { spawnServer } from '../../support/spawn-server.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const DESKTOP = { width: 1280, height: 900 }
const PHONE = { width: 390, height: 844 }
const { skip } = await needsBrowser()

/** What it says is there in every dress: readable, and never wider than the window. */
async function look(page: Page, state: string): Promise<void> {
  for (const [size, viewport, colorScheme] of [
    ['desktop', DESKTOP, 'light'],
    ['desktop', DESKTOP, 'dark'],
    ['phone', PHONE, 'dark'],
    ['phone', PHONE, 'light'],
  ] as const) {
    await page.setViewportSize(viewport)
    await page.emulateMedia({ colorScheme })
    const where = `storage page, ${state}, ${size}, ${colorScheme}`
    await checkWidth(page, where)
    // Each colour once, each size once.
    if ((size === 'desktop') === (colorScheme === 'light')) await checkAccess(page, where)
    // look: storage
  }
  await page.setViewportSize(DESKTOP)
}

/** Answers to a path wait until they are let go. */
async function hold(page: Page, path: string): Promise<() => Promise<void>> {
  let letGo = () => {}
  const isOver = new Promise<void>((resolve) => (letGo = resolve))
  await page.route(path, async (route) => {
    await isOver
    await route.continue()
  })
  return async () => {
    letGo()
    await page.unrouteAll({ behavior: 'wait' })
  }
}

/** Listings of what is ours wait until they are let go. */
function holdListing(bucket: StrictS3): { letGo: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held = bucket.faults.add({
    match: { operation: 'ListObjectsV2' },
    fault: { kind: 'hold', until: promise },
  })
  return {
    letGo() {
      held.remove()
      resolve()
    },
  }
}

async function logIn({ page }: WatchedPage): Promise<void> {
  await page.goto('/auth/login')
  await page.getByLabel('E-mail').fill(ADMIN.email)
  await page.getByLabel('Password').fill(ADMIN.password)
  await page.keyboard.press('Enter')
  await page.waitForURL('**/photos')
}

describe('the storage page', { skip, timeout: 540_000 }, () => {
  let browser: Browser
  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    browser = await sharedBrowser()
  })
  after(closePages)

  test('with a bucket: loading, healthy, probing, a probe with problems, a drill, an error', async (t) => {
    const site = await startServerWithBucket({ storage: 'cache: { maxBytes: 256 MiB }\n' })
    t.after(() => site.close())
    const { client, bucket } = site
    await probed(client)
    const { id } = await client.upload(await photo(320), 'photo.jpg')
    await drained(client, 60_000)
    await (await client.call(`/assets/${id}/original`)).arrayBuffer()
    const watched = await openPage(browser, site.server.url)
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)

    const answer = await hold(page, '**/api/storage/status')
    await page.goto('/storage')
    await page.getByRole('status').getByText('Loading the storage status').waitFor()
    await look(page, 'loading')
    await answer()
    await page.getByRole('heading', { name: 'The one original is proven in object storage.' }).waitFor()
    await look(page, 'the answer alone')
    await page.getByRole('button', { name: 'Details', exact: true }).click()
    await page.getByText(/^Cache .* of 256 MiB, in 1 file\./).waitFor()
    await look(page, 'healthy')

    const probe = page.getByRole('button', { name: 'Check now' })
    const probeAnswer = await hold(page, '**/api/storage/probe')
    await probe.click()
    await page.getByRole('button', { name: 'Checking' }).and(page.locator(':disabled')).waitFor()
    await look(page, 'probing')
    await probeAnswer()
    await probe.waitFor()

    bucket.profile.denied = ['s3:PutObject']
    await probe.click()
    await page.getByText('✕ unhealthy').waitFor()
    await page.getByText('The policy of the user or role whose keys Glassine has').first().waitFor()
    await look(page, 'a probe with problems')
    bucket.profile.denied = []
    await probe.click()
    await page.getByText('✕ unhealthy').waitFor({ state: 'detached' })
    // The page's own half comes after the server's.
    await probe.waitFor()

    await page.getByRole('button', { name: 'Simulate an outage' }).click()
    await page.getByRole('button', { name: 'Start' }).click()
    await page.getByRole('button', { name: /End the simulation/ }).waitFor()
    await page.getByRole('status').filter({ hasText: 'Nothing is lost' }).waitFor()
    await look(page, 'degraded')
    await page.getByRole('button', { name: /End the simulation/ }).click()
    await page.getByText('✕ unhealthy').waitFor({ state: 'detached' })
    // That the bucket is closed to pages is what their own probe finds out.
    const problems = watched.takeProblems().filter((problem) => !problem.includes('/.glassine-probe/'))
    assert.deepEqual(problems, [])

    await page.route('**/api/storage/status', (route) => route.abort('connectionrefused'))
    await page.reload()
    await page.getByRole('heading', { name: "Couldn't load the storage status" }).waitFor()
    await look(page, 'error')
    await page.unroute('**/api/storage/status')
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByRole('heading', { name: 'The one original is proven in object storage.' }).waitFor()
  })

  test('what an older version has read: how much waits, where, and what it costs; nothing when it is done', async (t) => {
    const site = await startServerWithBucket()
    t.after(() => site.close())
    const { client } = site
    const { pool } = site.database!
    for (const width of [320, 200]) await client.upload(await photo(width), `photo-${width}.jpg`)
    await drained(client, 60_000)
    // No job reads them meanwhile.
    await client.call('/jobs/metadataExtraction', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ command: 'pause', force: false }),
    })
    const watched = await openPage(browser, site.server.url)
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)
    const told = page.getByText(/read by an older version of Glassine/)
    const openDetails = async () => {
      const answer = page.waitForResponse('**/api/storage/readings')
      await page.goto('/storage')
      const details = page.getByRole('button', { name: 'Details', exact: true })
      await page.getByRole('button', { name: /^(Hide details|Details)$/ }).waitFor()
      if (await details.isVisible()) await details.click()
      await (await answer).finished()
      await page.getByText('This page updates by itself.').waitFor()
    }

    await openDetails()
    assert.equal(await told.count(), 0, 'all is read')

    const versions = await pool.query('update asset_reading set reader_version = reader_version - 1')
    assert.equal(versions.rowCount, 2)
    await pool.query(
      `insert into reading_day (day, bucket_bytes) values ((now() at time zone 'UTC')::date, 524288)`,
    )
    await openDetails()
    await page
      .getByText('2 photos and videos were read by an older version of Glassine and wait to be read again.')
      .waitFor()
    await page
      .getByText(
        /^2 in the bucket only \(.*\): at most 1\.00 GiB a day are fetched, 512 KiB so far today\. That takes about 1 day\.$/,
      )
      .waitFor()
    await look(page, 'metadata is read again')

    await pool.query('update asset_reading set reader_version = reader_version + 1')
    await openDetails()
    assert.equal(await told.count(), 0, 'all is read again')
    assert.deepEqual(watched.takeProblems(), [])
  })

  test('A1: a bucket that a newer database has used: the decision, its numbers, and the way to its end', async (t) => {
    const site = await startServerWithBucket({ postgres: 'embedded' })
    t.after(() => site.close())
    await probed(site.client)
    for (const width of [320, 200]) await site.client.upload(await photo(width), `photo-${width}.jpg`)
    await drained(site.client, 60_000)
    await backUp(site)
    for (const width of [240, 100, 80]) await site.client.upload(await photo(width), `later-${width}.jpg`)
    await drained(site.client, 60_000)
    await putBack(site)
    await site.start()
    const { bucket } = site
    const watched = await openPage(browser, site.server.url, { permissions: ['clipboard-write'] })
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)

    await page.goto('/storage')
    await page.getByRole('heading', { name: /^2 originals\. What s3 holds of them is not certain/ }).waitFor()
    await page
      .getByRole('status')
      .filter({ hasText: 'An administrator has to decide how it goes on' })
      .waitFor()
    const decision = page.getByRole('region', { name: /^What should happen with photos/ })
    await look(page, 'a decision')

    await decision.getByRole('button', { name: 'Copy the command' }).click()
    await page.getByText('Copied', { exact: true }).waitFor()

    let listing = holdListing(bucket)
    await decision.getByRole('button', { name: 'Count what is there' }).click()
    await decision.getByText('0 files counted').waitFor()
    await look(page, 'counting')
    await decision.getByRole('button', { name: 'Stop counting' }).click()
    await decision.getByText('0 files counted').waitFor({ state: 'detached' })
    listing.letGo()
    await decision.getByRole('button', { name: 'Count what is there' }).click()
    await decision.getByRole('row', { name: /^Files there 5/ }).waitFor()
    await decision.getByRole('row', { name: /^As remembered .* 2/ }).waitFor()
    await decision.getByRole('row', { name: /^Unknown .* 3/ }).waitFor()
    await look(page, 'counted')

    // By keyboard: the dialog gives the focus back to the button that opened it.
    const take = decision.getByRole('button', { name: 'Take over what is there' })
    await take.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Take over what is there' })
    await dialog.getByText('3 files there').waitFor()
    await look(page, 'are you sure')
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    await take.and(page.locator(':focus')).waitFor()
    listing = holdListing(bucket)
    await take.press('Enter')
    await dialog.getByRole('button', { name: 'Take it over' }).press('Enter')
    await page.getByRole('heading', { name: '2 originals. What s3 holds is being taken over.' }).waitFor()
    await page
      .getByRole('heading', { name: /is being taken over$/ })
      .and(page.locator(':focus'))
      .waitFor()
    await look(page, 'being taken over')

    listing.letGo()
    await page.getByRole('heading', { name: /originals are proven|original is proven/ }).waitFor()
    const result = page.getByRole('region', { name: /was taken over$/ })
    await result.getByText('3 files that belong to no photo stay there untouched').waitFor()
    await page.getByRole('status').filter({ hasText: 'An administrator' }).waitFor({ state: 'detached' })
    await look(page, 'taken over')
    // Of the count that was stopped, the browser says that it was.
    const problems = watched.takeProblems().filter((problem) => !problem.includes('/adoption/plan'))
    assert.deepEqual(problems, [])
  })

  test('without a bucket of their own', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'glassine-storage-page-'))
    t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
    const server = await spawnServer({ dataDir: folder, config: '' })
    t.after(() => server.stop())
    await connectClient(server.url)
    const watched = await openPage(browser, server.url)
    t.after(() => watched.page.context().close())
    await logIn(watched)
    await watched.page.goto('/storage')
    await watched.page.getByRole('heading', { name: 'No photos or videos yet.' }).waitFor()
    await watched.page.getByText('Originals go to the demonstration bucket').waitFor()
    await look(watched.page, 'demonstration bucket')
    assert.deepEqual(watched.takeProblems(), [])
  })
})
