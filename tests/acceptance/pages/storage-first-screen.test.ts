/** The first screen of the storage page: how safe everything is, what would be lost, and what to see to. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { confirmKey, loadInstallation } from '../../../src/database/backups/installation.ts'
import { publish } from '../../../src/database/events.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { drained, photo, probed, startServerWithBucket } from '../../support/server-with-bucket.ts'

const { skip } = await needsBrowser()

describe('the first screen of the storage page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('the key is to be written down until somebody says that it is; details are below', async (t) => {
    const site = await startServerWithBucket()
    t.after(() => site.close())
    await probed(site.client)
    await site.client.upload(await photo(320), 'photo.jpg')
    await drained(site.client, 60_000)
    const { db } = site.database!
    const { page, takeProblems } = await suite.open(t, site.server.url)
    await page.goto('/storage')
    await page.getByRole('heading', { name: 'The one original is proven in object storage.' }).waitFor()
    await page.getByText(/^If this machine died now, no photo or video would be lost\. All albums/).waitFor()
    const decisions = page.getByRole('region', { name: 'What you have to see to' })
    assert.equal(await decisions.count(), 0, 'there is no key yet')

    await enqueue(db, 'back-up-database', {})
    await decisions.getByText(/^The key of the backups is not written down/).waitFor()
    await page.getByText(/nobody could open the backup, because its key is not written down/).waitFor()
    assert.equal(await page.getByText('Where are the originals?').count(), 0, 'details are closed')
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1280, 390]) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width, height: 844 })
        await checkWidth(page, `first screen at ${width} px`)
        await checkAccess(page, `first screen, ${colorScheme}, ${width} px`)
        // On the first screen, without any scrolling.
        const box = await decisions.boundingBox()
        assert.ok(box !== null && box.y + box.height < 844, `the decision ends at ${box?.y}`)
      }
    }

    await confirmKey(db, (await loadInstallation(db)).recipient!)
    await publish(db, { type: 'storage-changed' })
    await decisions.waitFor({ state: 'detached' })
    await page
      .getByText(/^If this machine died now, no photo or video would be lost\. (What you|Nothing else)/)
      .waitFor()
    assert.deepEqual(takeProblems(), [])
  })
})
