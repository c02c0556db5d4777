/**
 * Files that belong to nothing on the storage page, in a real browser: seen, decided on by typing, undone,
 * gone.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, type TestContext, test } from 'node:test'
import type { Page } from 'playwright-core'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth, tabTo } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'
import { bytesBody, passDays, strayKey } from '../../support/storage/strays.ts'

const { skip } = await needsBrowser()

async function startSite(t: TestContext) {
  const server = await startTestServer(t)
  const { placement, db } = server
  placement.settings.collectAgeMs = 0
  await server.admin.upload(randomBytes(2_000), 'photo.jpg')
  await server.runJobs()
  const { backend } = placement.locations.get('s3')!
  for (let n = 0; n < 3; n += 1) await backend.put(strayKey(), bytesBody(randomBytes(300_000)))
  await backend.put(strayKey('database-backup'), bytesBody(randomBytes(900)))
  for (let n = 0; n < 2; n += 1) {
    await passDays(db, 1)
    await checkListing(placement, 's3', { isNow: true })
  }
  return server
}

async function openDetails(page: Page): Promise<void> {
  await page.goto('/storage')
  await page.getByRole('button', { name: 'Details', exact: true }).click()
  await page.getByRole('heading', { name: 'Files that belong to no photo' }).scrollIntoViewIfNeeded()
}

describe('files that belong to nothing on the storage page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('an administrator removes them with the keyboard alone, undoes it, and sees them gone', async (t) => {
    const server = await startSite(t)
    const { page } = await suite.open(t, server.url)
    await openDetails(page)
    await page.getByRole('rowheader', { name: '3 originals' }).waitFor()
    await page.getByText('kept: this library can be brought back from it').waitFor()
    await checkAccess(page, 'files that belong to nothing')

    const offer = page.getByRole('button', { name: /^Remove 3 files/ })
    await offer.focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog', { name: 'Remove files that belong to no photo' })
    await dialog.waitFor()
    const yes = dialog.getByRole('button', { name: 'Remove them later' })
    await page.keyboard.type('collect 3 files')
    assert.equal(await yes.isDisabled(), true, 'the name of the location is missing')
    await page.keyboard.type(' from s3')
    await checkAccess(page, 'what has to be typed')
    // look: strays-dialog
    await page.keyboard.press('Enter')
    await page.getByText(/^3 files .* in s3 will be removed in 7 days\.$/).waitFor()
    await page.getByText('to be removed, by a decision that waits').waitFor()
    // look: strays-decided

    await tabTo(page, (label) => label.startsWith('Undo'))
    await page.keyboard.press('Enter')
    await page.getByText(/^3 files .* in s3: undone\.$/).waitFor()
    await offer.click()
    await dialog.waitFor()
    await page.keyboard.type('collect 3 files from s3')
    await page.keyboard.press('Enter')
    await page.getByText(/will be removed in 7 days\.$/).waitFor()
    await passDays(server.db, 8)
    await enqueue(server.db, 'collect-strays', {})
    await server.runJobs()
    await page.reload()
    await page.getByText(/^3 files .* in s3: 3 removed\.$/).waitFor()
    await checkAccess(page, 'files that are gone')
  })

  test('on a phone in the dark it is readable, and a plan that has changed is refused in words', async (t) => {
    const server = await startSite(t)
    const { page } = await suite.open(t, server.url, { ...PHONE, colorScheme: 'dark' })
    await openDetails(page)
    const offer = page.getByRole('button', { name: /^Remove 3 files/ })
    await offer.waitFor()
    await checkWidth(page, 'files that belong to nothing, phone')
    await checkAccess(page, 'files that belong to nothing, phone')
    // look: strays-phone
    await offer.click()
    await server.db.deleteFrom('stray').where('kind', '=', 'original').execute()
    await page.getByRole('textbox', { name: /To go on, type/ }).fill('collect 3 files from s3')
    await page.getByRole('button', { name: 'Remove them later' }).click()
    await page
      .getByRole('alert')
      .getByText(/has changed since the plan was made/)
      .waitFor()
    await checkWidth(page, 'a plan that has changed, phone')
    // look: strays-refused
  })
})
