/** What fails, on the storage page: each cause once, with its files, and gone when it is done. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import { recordHealth } from '../../../src/placement/locations/locations.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

/** No two are alike. */
const photo = () =>
  sharp(randomBytes(64 * 48 * 3), { raw: { width: 64, height: 48, channels: 3 } })
    .jpeg()
    .toBuffer()

describe('failures on the storage page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('two files that the bucket refuses are one line; healed, nothing of it is left but the outage', async (t) => {
    const server = await startTestServer(t)
    const s3 = server.remotes.get('s3')!
    for (let put = 0; put < 100; put++)
      s3.plan({ call: 'put', when: 'before', error: new StorageError('denied', `put ${put} failed: 403`) })
    for (const name of ['one.jpg', 'two.jpg']) await server.admin.upload(await photo(), name)
    await server.admin.upload(randomBytes(4_000), 'broken.jpg')
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/storage')
    const failing = page.getByRole('region', { name: /could not be done yet/ })
    await failing.waitFor()
    const lines = failing.getByRole('listitem')
    const refused = lines.filter({ hasText: 'one.jpg' })
    await refused.getByText(/^\d+ tasks in Copying, tried again/).waitFor()
    await refused.getByRole('link', { name: 'two.jpg' }).waitFor()
    assert.equal(await lines.filter({ hasText: '403' }).count(), 1, 'one line for one cause')
    await page.getByText('1 file without a preview').click()
    await page.getByRole('link', { name: 'broken.jpg' }).last().waitFor()
    await checkAccess(page, 'failures')
    await page.setViewportSize({ width: 320, height: 700 })
    await page.getByRole('button', { name: 'Details', exact: true }).click()
    await page.getByRole('heading', { name: 'Where are the originals?' }).waitFor()
    await checkWidth(page, 'storage page at 320 px')
    await page.setViewportSize({ width: 1280, height: 800 })

    s3.clear()
    await failing.getByRole('button', { name: 'Try again now' }).click()
    await page.getByText('What failed is tried again now').waitFor()
    await recordHealth(server.placement, 's3', null)
    await server.runJobs()
    await page.reload()
    await page.getByText('1 outage in the last 30 days').click()
    await page.getByText(/could not be reached on \d+ \w+, \d\d:\d\d to \d\d:\d\d/).waitFor()
    assert.equal(await failing.count(), 0)
    assert.deepEqual(takeProblems(), [])
  })
})
