/** The viewer under a finger: a tap shows and hides its controls, and what is hidden takes no touch. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { testMedia } from '../../support/files/media.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { expectAttribute } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite, tapAt } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

describe('the viewer on a phone', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a tap hides the controls, which take no touch then, and the next one brings them back', async (t) => {
    const file = testMedia(t, 'orientation/Landscape_1.jpg')
    if (file === null) return
    const server = await startTestServer(t)
    const { id } = await server.admin.upload(await readFile(file), 'Landscape_1.jpg')
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url, PHONE)
    await page.goto(`/photos/${id}`)
    const viewer = page.getByRole('dialog', { name: /^Landscape_1/ })
    await viewer.getByRole('img', { name: 'Landscape_1.jpg' }).waitFor()
    const more = viewer.getByRole('button', { name: 'Move to trash' })
    await more.waitFor()
    const { x, y, width, height } = (await more.boundingBox())!
    const trash = [x + width / 2, y + height / 2] as const

    await tapAt(page, 195, 420)
    await more.waitFor({ state: 'hidden' })
    // Where the button was: a touch on what looks like a bare photograph.
    await tapAt(page, ...trash)
    await more.waitFor()
    const asset = await server.admin.json<{ isTrashed: boolean }>(`/assets/${id}`)
    assert.equal(asset.isTrashed, false, 'nothing was thrown away unseen')

    // They stay until they are tapped away: no timer of the mouse ends them.
    await page.clock.install()
    await page.clock.runFor(60_000)
    assert.ok(await more.isVisible())

    // Seen, a button works.
    await viewer.getByRole('button', { name: 'Favourite' }).tap()
    await expectAttribute(viewer.getByRole('button', { name: 'Favourite' }), 'aria-pressed', /true/)
    // Two taps zoom and leave them as they are.
    await tapAt(page, 195, 420)
    await tapAt(page, 195, 420)
    await viewer.locator('.zoomed').waitFor()
    assert.ok(await more.isVisible())
    assert.deepEqual(takeProblems(), [])
  })
})
