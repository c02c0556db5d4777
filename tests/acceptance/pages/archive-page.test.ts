/**
 * Archived originals on the page, in a real browser: what is said of them, their restore, and that it ends.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { checkRestores } from '../../../src/placement/classes/check-restores.ts'
import { ADMIN } from '../../support/client.ts'
import { needsBrowser, openPage, type WatchedPage } from '../../support/page/browser.ts'
import { checkAccess, checkWidth, tabTo } from '../../support/page/page-checks.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import { startTestServer } from '../../support/server.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { countOf, startClassBucket } from '../../support/storage/class-bucket.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const HOUR_MS = 3_600_000
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }
const { skip } = await needsBrowser()

type Site = Awaited<ReturnType<typeof startSite>>

/**
 * Originals go to GLACIER at once; the clocks of server and bucket can be put forward, and the browser's goes
 * along.
 */
async function startSite(t: TestContext) {
  const bucket = await startClassBucket()
  let aheadMs = 0
  const server = await startTestServer(t, {
    remotes: [],
    originals: ['bucket'],
    extra: [{ ...bucket.location, provider: 'aws' }],
    classes: { original: { class: 'GLACIER', rules: [] } },
    now: () => new Date(Date.now() + aheadMs),
  })
  t.after(() => bucket.close())
  return {
    server,
    bucket: bucket.server,
    pass(ms: number) {
      aheadMs += ms
      bucket.server.profile.archiveClockAheadMs = aheadMs
    },
    /** Larger than what stays in STANDARD. */
    async archive(name: string): Promise<{ id: string; bytes: Buffer }> {
      const bytes = Buffer.concat([await photo(320), randomBytes(200 * 1024)])
      const { id } = await server.admin.upload(bytes, name)
      await server.runJobs()
      return { id, bytes }
    },
    async album(albumName: string, assetIds: string[]): Promise<string> {
      const answer = await server.admin.call('/albums', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ albumName, assetIds }),
      })
      return ((await answer.json()) as { id: string }).id
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

const informationOf = (page: Page) => page.getByRole('complementary', { name: 'Information' })

describe('archived originals on the page', { skip, timeout: 300_000 }, () => {
  let browser: Browser
  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    browser = await sharedBrowser()
  })
  after(closePages)

  async function restored(site: Site, count: number): Promise<void> {
    site.pass(13 * HOUR_MS)
    assert.equal(await checkRestores(site.server.placement), count)
  }

  test('one photo: archived, asked for by keyboard, pending, available, downloaded, expired', async (t) => {
    const site = await startSite(t)
    const { id, bytes } = await site.archive('one.jpg')
    const restores = countOf(site.bucket, 'RestoreObject')
    const watched = await openPage(browser, site.server.url, { colorScheme: 'light' })
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)
    await page.goto(`/photos/${id}`)
    await page.getByRole('dialog', { name: 'one.jpg' }).waitFor()

    // A download that would fail says so, and offers the restore.
    await page.getByRole('link', { name: 'Download the original' }).click()
    const offer = page.getByRole('dialog', { name: 'Restore originals' })
    await offer.getByText('1 of 1 original is archived').waitFor()
    await checkAccess(page, 'offer of a restore')
    await page.keyboard.press('Escape')
    await offer.waitFor({ state: 'detached' })

    await page.keyboard.press('i')
    const information = informationOf(page)
    const form = information.getByRole('form', { name: 'Restore the original' })
    await form.getByText('Archived in GLACIER').waitFor()
    await form.getByText('must be restored before it can be opened or downloaded').waitFor()
    await form.getByText(/^usually within 12 hours, under 0\.01 USD$/).waitFor()
    await form.getByText(/^usually within 5 minutes, about 0\.01 USD$/).waitFor()
    await checkAccess(page, 'archived original')
    await form.scrollIntoViewIfNeeded()
    // look: one-archived

    // Arrows choose among the tiers and leave the photo where it is; the choice is one stop for Tab.
    await form.getByRole('radio', { name: /^Bulk/ }).focus()
    await page.keyboard.press('ArrowDown')
    assert.ok(await form.getByRole('radio', { name: /^Standard/ }).isChecked())
    assert.match(page.url(), new RegExp(`/photos/${id}$`))
    await form.getByLabel('Keep the copy for').selectOption('3')
    await tabTo(page, (label) => label === 'Restore the original')
    await page.keyboard.press('Enter')
    await information.getByText('Being restored from GLACIER').waitFor()
    await information.getByText(/Expected by /).waitFor()
    await information.locator('[role=status]:focus').waitFor()
    assert.equal(restores.hits, 1)
    await checkAccess(page, 'original that is being restored')
    // look: one-restoring

    // Still nothing to download; then it comes by itself.
    await page.getByRole('link', { name: 'Download the original' }).click()
    await offer.getByText('1 original is being restored already').waitFor()
    await page.keyboard.press('Escape')
    await restored(site, 1)
    await information.getByText('Restored from GLACIER').waitFor()
    await information.getByText(/can be opened and downloaded until /).waitFor()
    await checkAccess(page, 'restored original')
    // look: one-restored
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download the original' }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'one.jpg')
    assert.deepEqual(await readFile(await download.path()), bytes)

    // After its days the copy is gone, which an open page learns when it looks again.
    site.pass(5 * 24 * HOUR_MS)
    await checkRestores(site.server.placement)
    await page.reload()
    await form.getByText('Archived in GLACIER').waitFor()
    assert.deepEqual(watched.takeProblems(), [])
  })

  test('one photo, where the bucket refuses: it says so, and can be asked for again', async (t) => {
    const site = await startSite(t)
    const { id } = await site.archive('refused.jpg')
    const watched = await openPage(browser, site.server.url, { ...PHONE, colorScheme: 'dark' })
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)
    await page.goto(`/photos/${id}`)
    await page.getByRole('button', { name: 'Information' }).click()
    const form = informationOf(page).getByRole('form', { name: 'Restore the original' })
    site.bucket.profile.denied = ['s3:RestoreObject']
    watched.expect(403, /restore$/)
    await form.getByRole('button', { name: 'Restore the original' }).click()
    await form
      .getByRole('alert')
      .getByText(/^The bucket refused it: .*give the credentials the permission s3:RestoreObject/)
      .waitFor()
    await form.scrollIntoViewIfNeeded()
    // look: one-refused-phone
    await checkAccess(page, 'refused restore, phone, dark')
    await checkWidth(page, 'refused restore')
    site.bucket.profile.denied = []
    await form.getByRole('button', { name: 'Restore the original' }).click()
    await informationOf(page).getByText('Being restored from GLACIER').waitFor()
    // look: one-restoring-phone
    assert.deepEqual(watched.takeProblems(), [])
  })

  test('an album: how many, at what price, under way, refused, restored; and a selection of it', async (t) => {
    const site = await startSite(t)
    const photos = [await site.archive('a.jpg'), await site.archive('b.jpg'), await site.archive('c.jpg')]
    site.server.placement.classes = {}
    const plain = await site.archive('plain.jpg')
    const [a] = photos
    const albumId = await site.album(
      'Summer',
      [...photos, plain].map(({ id }) => id),
    )
    const emptyOfThem = await site.album('Nothing archived', [plain.id])
    const watched = await openPage(browser, site.server.url, { colorScheme: 'light' })
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)

    await page.goto(`/albums/${emptyOfThem}`)
    await page.locator(`a[data-id="${plain.id}"]`).waitFor()
    await page.waitForLoadState('networkidle')
    const note = page.getByRole('region', { name: 'Archived originals' })
    assert.equal(await note.count(), 0)

    await page.goto(`/albums/${albumId}`)
    await note.getByText('3 originals are archived.').waitFor()
    // look: album-archived
    await checkAccess(page, 'album with archived originals')
    await note.getByRole('button', { name: 'Restore them …' }).focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Restore originals' })
    await dialog.getByText('3 of 4 originals are archived').waitFor()
    await dialog.getByText('usually within 5 hours, under 0.01 USD').waitFor()
    await dialog.getByText(/After 7 days they are removed; the archived originals stay/).waitFor()
    await dialog.getByText(/An estimate by list prices of 20\d\d-\d\d/).waitFor()
    await checkAccess(page, 'restore of an album')
    // look: album-dialog
    await dialog.getByLabel('Keep the copy for').selectOption('1')
    await dialog.getByText(/After a day they are removed/).waitFor()
    assert.equal(site.bucket.counts.of('RestoreObject'), 0, 'looking costs nothing')

    // A selection of it: one of the three.
    await page.keyboard.press('Escape')
    await page.locator(`a[data-id="${a!.id}"]`).focus()
    await page.keyboard.press('x')
    await page
      .getByRole('toolbar', { name: 'Selection' })
      .getByRole('button', { name: 'Restore originals' })
      .click()
    await dialog.getByText('1 of 1 original is archived').waitFor()
    await dialog.getByRole('button', { name: 'Restore 1 original' }).click()
    await dialog.waitFor({ state: 'detached' })
    await note.getByText(/2 originals are archived\. 1 is being restored, expected by /).waitFor()
    await page.getByRole('button', { name: 'Clear the selection' }).click()
    await site.server.runJobs()

    // The bucket takes no more of them: they are archived as before, and said to be.
    site.bucket.profile.denied = ['s3:RestoreObject']
    await note.getByRole('button', { name: 'Restore them …' }).click()
    await dialog.getByRole('radio', { name: /^Standard/ }).check()
    await dialog.getByRole('button', { name: 'Restore 2 originals' }).click()
    await note.getByText(/^3 are being restored/).waitFor()
    await site.server.runJobs()
    await note.getByRole('alert').getByText('The bucket refused 2 restores').waitFor()
    await note.getByText(/2 originals are archived\. 1 is being restored/).waitFor()
    // look: album-refused
    await checkAccess(page, 'album whose restores were refused')

    site.bucket.profile.denied = []
    await note.getByRole('button', { name: 'Restore them …' }).click()
    await dialog.getByRole('button', { name: 'Restore 2 originals' }).click()
    await note.getByText(/^3 are being restored, expected by /).waitFor()
    assert.equal(await note.getByRole('alert').count(), 0)
    await site.server.runJobs()
    // look: album-restoring
    await restored(site, 3)
    await note.getByText(/^3 are restored and can be opened, the first until /).waitFor()
    assert.equal(await note.getByRole('button').count(), 0)
    // look: album-restored
    await checkAccess(page, 'album whose originals are restored')
    assert.deepEqual(watched.takeProblems(), [])
  })

  test('an album on a phone, dark; several photos on the sheet that can not be downloaded', async (t) => {
    const site = await startSite(t)
    const photos = [await site.archive('a.jpg'), await site.archive('b.jpg')]
    const albumId = await site.album(
      'Summer on a phone',
      photos.map(({ id }) => id),
    )
    const watched = await openPage(browser, site.server.url, { ...PHONE, colorScheme: 'dark' })
    t.after(() => watched.page.context().close())
    const { page } = watched
    await logIn(watched)
    await page.goto(`/albums/${albumId}`)
    const note = page.getByRole('region', { name: 'Archived originals' })
    await note.getByText('2 originals are archived.').waitFor()
    // look: album-phone
    await checkAccess(page, 'album on a phone, dark')
    await checkWidth(page, 'album on a phone')
    await note.getByRole('button', { name: 'Restore them …' }).tap()
    const dialog = page.getByRole('dialog', { name: 'Restore originals' })
    await dialog.getByText('2 of 2 originals are archived').waitFor()
    await checkAccess(page, 'restore on a phone, dark')
    await checkWidth(page, 'restore on a phone')
    // look: album-dialog-phone
    await dialog.getByRole('button', { name: 'Cancel' }).tap()

    await page.goto('/photos')
    watched.expect(409, /download\/archives$/)
    await page.locator(`a[data-id="${photos[0]!.id}"]`).focus()
    await page.keyboard.press('Control+a')
    await page.getByRole('toolbar', { name: 'Selection' }).getByRole('button', { name: 'Download' }).click()
    await dialog.getByText('2 of 2 originals are archived').waitFor()
    assert.deepEqual(watched.takeProblems(), [])
  })
})
