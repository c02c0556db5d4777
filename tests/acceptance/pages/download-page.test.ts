/** A download that can't begin says so. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { needsBrowser } from '../../support/page/browser.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { drained, photo, probed, startServerWithBucket } from '../../support/server-with-bucket.ts'

const { skip } = await needsBrowser()

describe('downloads while the bucket is away', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('the page says why nothing comes, and that it is safe; afterwards it comes', async (t) => {
    const site = await startServerWithBucket({ outage: '{ coolDownMs: 1000 }' })
    t.after(() => site.close())
    const { client } = site
    await probed(client)
    const { id } = await client.upload(await photo(320), 'photo.jpg')
    await drained(client, 60_000)
    const watched = await suite.open(t, site.server.url)
    const { page } = watched
    await page.goto(`/photos/${id}`)
    await page.getByRole('img', { name: 'photo.jpg' }).waitFor()
    const drill = (method: 'POST' | 'DELETE') =>
      client.call(`/storage/drill${method === 'DELETE' ? '?location=s3' : ''}`, {
        method,
        ...(method === 'POST' && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ location: 's3', minutes: 5 }),
        }),
      })
    assert.ok((await drill('POST')).ok)
    await page.getByRole('status').filter({ hasText: 'Nothing is lost' }).waitFor()
    watched.expect(503, /\/original$/)
    const download = page.getByRole('link', { name: 'Download the original' })
    await download.click()
    await page
      .getByText(/The original can't be opened now: .* can't be reached\. It is safe; try again later\./)
      .waitFor()
    assert.ok((await drill('DELETE')).ok)
    await page.getByRole('status').filter({ hasText: 'Nothing is lost' }).waitFor({ state: 'detached' })
    const [begun] = await Promise.all([page.waitForEvent('download'), download.click()])
    assert.equal(begun.suggestedFilename(), 'photo.jpg')
    assert.deepEqual(watched.takeProblems(), [])
  })
})
