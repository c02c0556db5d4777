/**
 * The viewer under a finger and under a mouse; live photos, there and on the timeline; videos that were
 * converted.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { makeVideo } from '../../support/files/make-video.ts'
import { testMedia } from '../../support/files/media.ts'
import { motionPhoto } from '../../support/files/motion-photos.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, expectAttribute } from '../../support/page/page-checks.ts'
import { doubleTapAt, holdAt, PHONE, pageSuite, tapAt } from '../../support/page/page-suite.ts'
import { tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

/** The controls have gone if the machine was slow; the mouse brings them back. */
async function stir(page: Page): Promise<void> {
  await page.mouse.move(400, 400)
  await page.mouse.move(410, 400)
}

describe('the viewer', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'glassine-viewer-'))
  })
  after(() => rm(folder, { recursive: true }))

  /** A film that browsers play, and none that they play as it is. */
  async function film(name: string, options: { seconds: number; filters?: string }): Promise<Buffer> {
    const path = join(folder, name)
    await makeVideo(path, { width: 320, height: 240, codec: 'libx264', ...options })
    return readFile(path)
  }

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
    // A busy browser gives the click of a tap to the button that the tap has revealed.
    await page.evaluate(`(() => {
      const finger = { pointerType: 'touch', clientX: 195, clientY: 420, bubbles: true }
      for (const type of ['pointerdown', 'pointerup'])
        document.querySelector('.stage-area').dispatchEvent(new PointerEvent(type, finger))
      document.querySelector('.stage-area .controls [aria-label="Move to trash"]').click()
    })()`)
    await more.waitFor()
    await tapAt(page, 195, 420)
    await more.waitFor({ state: 'hidden' })
    // Where the button was: a touch on what looks like a bare photograph.
    await tapAt(page, ...trash)
    await more.waitFor()
    const asset = await server.admin.json<{ isTrashed: boolean }>(`/assets/${id}`)
    assert.equal(asset.isTrashed, false, 'nothing was thrown away unseen')

    // They stay until they are tapped away: no timer of the mouse ends them.
    await page.clock.install()
    await page.clock.pauseAt(Date.now() + 60_000)
    assert.ok(await more.isVisible())

    // Seen, a button works.
    await viewer.getByRole('button', { name: 'Favourite' }).tap()
    await expectAttribute(viewer.getByRole('button', { name: 'Favourite' }), 'aria-pressed', /true/)
    // Two taps zoom and leave them as they are. They are as close as wanted on a busy machine as well, since
    // events carry the time of the page's clock, which stands still.
    await doubleTapAt(page, 195, 420)
    await viewer.locator('.zoomed').waitFor()
    await more.waitFor()
    assert.deepEqual(takeProblems(), [])
  })

  test('a live photo moves under the mouse and under a finger, and in the viewer by a button', async (t) => {
    const server = await startTestServer(t)
    const still = sharp({ create: { width: 320, height: 240, channels: 3, background: '#4af' } })
    const bytes = motionPhoto(await still.jpeg().toBuffer(), await film('live.mp4', { seconds: 1 }))
    const { id } = await server.admin.upload(bytes, 'PXL_1.jpg')
    await server.runJobs()

    const { page, takeProblems } = await suite.open(t, server.url, { reducedMotion: 'no-preference' })
    const tile = tileOf(page, id)
    await expectAttribute(tile, 'aria-label', /^Live photo, /)
    await tile.hover()
    await tile.locator('video.shown').waitFor()
    await page.mouse.move(2, 790)
    await tile.locator('video').waitFor({ state: 'detached' })

    await tile.click()
    const viewer = page.getByRole('dialog', { name: /^PXL_1\.jpg/ })
    const play = viewer.getByRole('button', { name: 'Play the live photo' })
    await stir(page)
    await play.click()
    await expectAttribute(play, 'aria-pressed', /true/)
    await viewer.locator('video.shown').waitFor()
    // Once, and then it is a photo again.
    await viewer.locator('video').waitFor({ state: 'detached' })
    await expectAttribute(play, 'aria-pressed', /false/)
    await checkAccess(page, 'live photo')
    await viewer.focus()
    await page.keyboard.press('Space')
    await viewer.locator('video.shown').waitFor()
    await page.keyboard.press('Space')
    await viewer.locator('video').waitFor({ state: 'detached' })
    assert.deepEqual(takeProblems(), [])

    const phone = await suite.open(t, server.url, PHONE)
    await phone.page.goto(`/photos/${id}`)
    const seen = phone.page.getByRole('dialog', { name: /^PXL_1\.jpg/ })
    await seen.getByRole('img', { name: 'PXL_1.jpg' }).waitFor()
    // Longer than the film: it goes on as long as the finger stays, and the controls stay as they are.
    await holdAt(phone.page, 195, 420, async () => {
      await seen.locator('video.shown').waitFor()
      await expectAttribute(seen.locator('video'), 'loop', /^/)
    })
    await seen.locator('video').waitFor({ state: 'detached' })
    assert.ok(await seen.getByRole('button', { name: 'Favourite' }).isVisible())
    assert.deepEqual(phone.takeProblems(), [])
  })

  test('of a video that was converted the original can be played, and it can be converted again', async (t) => {
    const server = await startTestServer(t)
    const plain = await server.admin.upload(await film('plain.mp4', { seconds: 1 }), 'plain.mp4')
    const bytes = await film('full.mp4', { seconds: 2, filters: 'format=yuv444p' })
    const { id } = await server.admin.upload(bytes, 'full.mp4')
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto(`/photos/${id}`)
    const viewer = page.getByRole('dialog', { name: /^full\.mp4/ })
    const video = viewer.locator('video')
    await expectAttribute(video, 'src', /\/video\/playback/)
    const choose = async (name: string) => {
      await stir(page)
      await viewer.getByRole('button', { name: 'More actions' }).click()
      await viewer.getByRole('menuitem', { name }).click()
    }
    await choose('Play the original')
    await expectAttribute(video, 'src', /\/original$/)
    await choose('Play the converted video')
    await expectAttribute(video, 'src', /\/video\/playback/)
    // One that this browser can't play is left for the other again.
    await page.route('**/original', (route) => route.fulfill({ contentType: 'video/mp4', body: 'no film' }))
    await choose('Play the original')
    await page.getByText("This browser can't play the original").waitFor()
    await expectAttribute(video, 'src', /\/video\/playback/)

    await choose('Convert the video again')
    await page.getByText('Converting the video again').waitFor()
    const jobs = await server.admin.json<Record<string, { jobCounts: { waiting: number } }>>('/jobs')
    assert.equal(jobs.videoConversion!.jobCounts.waiting, 1)

    await page.goto(`/photos/${plain.id}`)
    const other = page.getByRole('dialog', { name: /^plain\.mp4/ })
    await other.locator('video').waitFor()
    await stir(page)
    await other.getByRole('button', { name: 'More actions' }).click()
    await other.getByRole('menuitem', { name: 'Convert the video again' }).waitFor()
    assert.equal(await other.getByRole('menuitem', { name: 'Play the original' }).count(), 0)
    assert.deepEqual(takeProblems(), [])
  })
})
