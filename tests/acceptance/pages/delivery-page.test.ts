/**
 * Pictures, films and downloads that come from another origin, in a real browser under the page's own policy:
 * the bucket, the bucket by its public address, a network. Nothing else gets through.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Page, Response } from 'playwright-core'
import { ADMIN } from '../../support/client.ts'
import { makeVideo } from '../../support/files/make-video.ts'
import { mediaFolder } from '../../support/files/media.ts'
import { needsBrowser, openPage } from '../../support/page/browser.ts'
import { fetchInPage, playAndSeek, refusedByPolicy } from '../../support/page/in-page.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import { allProcessed, tileOf } from '../../support/page/sheet-page.ts'
import { BUCKET, drained, probed, startServerWithBucket } from '../../support/server-with-bucket.ts'
import { startNetwork } from '../../support/services/network.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const SECRET = 'a secret of at least thirty-two characters'
const IN_BUCKET = `
locations: { originals: s3, thumbnails: s3, previews: s3, fullsize: s3, encodedVideos: s3 }
cache: { maxBytes: 0 }
`
const { skip } = await needsBrowser()

type Way = {
  name: string
  way: 'redirect' | 'cdn'
  publicEndpoint?: (port: number) => string
}
const WAYS: Way[] = [
  { name: 'the bucket', way: 'redirect' },
  {
    name: 'the bucket by its public address',
    way: 'redirect',
    publicEndpoint: (port) => `http://localhost:${port}`,
  },
  { name: 'a network', way: 'cdn' },
]

/** Answers of one kind that come from elsewhere. */
function answersFrom(page: Page, origin: string): Response[] {
  const answers: Response[] = []
  page.on('response', (answer) => {
    if (new URL(answer.url()).origin === origin) answers.push(answer)
  })
  return answers
}

describe('files from another origin', { skip, timeout: 400_000 }, () => {
  let browser: Browser
  let folder: string
  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    folder = await mkdtemp(join(tmpdir(), 'glassine-delivery-'))
    // Long enough, and of few key frames: seeking needs another range.
    await makeVideo(join(folder, 'film.mp4'), {
      seconds: 20,
      width: 640,
      height: 360,
      codec: 'libx264',
      encoderOptions: { b: 4_000_000 },
      soundCodec: 'aac',
    })
    browser = await sharedBrowser()
  })
  after(async () => {
    await closePages()
    if (folder) await rm(folder, { recursive: true })
  })

  for (const { name, way, publicEndpoint } of WAYS) {
    test(`from ${name}: thumbnails, preview, original, film, downloads`, async (t) => {
      const network = await startNetwork(SECRET)
      t.after(() => network.close())
      const cdn = way === 'cdn' ? `cdn: { type: hmac, baseUrl: ${network.baseUrl}, secret: ${SECRET} }\n` : ''
      const site = await startServerWithBucket({
        storage: `${IN_BUCKET}delivery: { originals: ${way}, previews: ${way}, encodedVideos: ${way} }\n${cdn}`,
        ...(publicEndpoint && { publicEndpoint }),
      })
      t.after(() => site.close())
      network.standBefore(site.bucket, BUCKET)
      const { client } = site
      await probed(client)
      const picture = await readFile(join(mediaFolder(), 'orientation/Landscape_1.jpg'))
      const film = await readFile(join(folder, 'film.mp4'))
      const { id } = await client.upload(picture, 'picture.jpg')
      const { id: filmId } = await client.upload(film, 'film.mp4')

      const elsewhere =
        way === 'cdn'
          ? new URL(network.baseUrl).origin
          : (publicEndpoint?.(site.bucket.port) ?? new URL(site.bucket.endpoint).origin)
      const watched = await openPage(browser, site.server.url)
      t.after(() => watched.page.context().close())
      const { page } = watched
      // From the first visit on: on the second one the browser may have the thumbnails already.
      const answers = answersFrom(page, elsewhere)
      const take = () => answers.splice(0).map((answer) => [answer.request().resourceType(), answer.status()])
      await page.goto('/auth/login')
      await page.getByLabel('E-mail').fill(ADMIN.email)
      await page.getByLabel('Password').fill(ADMIN.password)
      await page.keyboard.press('Enter')
      await page.waitForURL('**/photos')
      await allProcessed(page)
      await drained(client, 90_000)

      await page.goto('/photos')
      for (const asset of [id, filmId]) await tileOf(page, asset).locator('img.shown').waitFor()
      assert.deepEqual(new Set(take().map(String)), new Set(['image,200']), 'thumbnails')

      await page.goto(`/photos/${id}`)
      const viewer = page.getByRole('dialog', { name: 'picture.jpg' })
      await viewer.getByRole('img', { name: 'picture.jpg' }).waitFor()
      await page.waitForLoadState('networkidle')
      assert.ok(take().some(String), 'the preview')
      const original = page.waitForResponse(
        (answer) => new URL(answer.url()).origin === elsewhere && answer.url().includes('/original.'),
      )
      await page.keyboard.press('z')
      assert.equal((await original).status(), 200)
      await viewer.locator('img[src$="/original"]').waitFor()

      // The page's script gets the bytes from the server itself: it could not read them there.
      const fetched = await fetchInPage(page, `/api/assets/${id}/original`)
      assert.equal(fetched.bytes, picture.length)
      assert.equal(new URL(fetched.url).origin, new URL(site.server.url).origin)

      take()
      await page.goto(`/photos/${filmId}`)
      const { width, height } = await playAndSeek(page.locator('video'), 15)
      assert.deepEqual([width, height], [640, 360])
      const parts = take().filter(([kind]) => kind === 'media')
      assert.ok(parts.length > 0 && parts.every(([, status]) => status === 206), JSON.stringify(parts))

      for (const [asset, fileName, bytes] of [
        [id, 'picture.jpg', picture],
        [filmId, 'film.mp4', film],
      ] as const) {
        await page.goto(`/photos/${asset}`)
        await page.getByRole('dialog', { name: fileName }).waitFor()
        const fromServer = site.bucket.faults.add({
          match: { operation: 'GetObject', key: /\/original\./, isPresigned: false },
          fault: { kind: 'status', status: 403, code: 'AccessDenied' },
        })
        const [download] = await Promise.all([
          page.waitForEvent('download'),
          page.getByRole('link', { name: 'Download the original' }).click(),
        ])
        assert.equal(download.suggestedFilename(), fileName)
        assert.deepEqual(await readFile(await download.path()), bytes)
        assert.equal(fromServer.hits, 0, 'it comes from there: the server itself reads nothing')
        fromServer.remove()
        assert.equal(new URL(page.url()).pathname, `/photos/${asset}`, 'and the page stays')
      }
      assert.deepEqual(watched.takeProblems(), [])

      // No more than these: not another port of this machine, and by a public address not the one behind it.
      const strangers = [`http://127.0.0.1:1/x.png`]
      if (publicEndpoint) strangers.push(`${new URL(site.bucket.endpoint).origin}/x.png`)
      for (const stranger of strangers) {
        assert.deepEqual(await refusedByPolicy(page, { picture: stranger, fetched: stranger }), [
          'img-src',
          'connect-src',
        ])
      }
      watched.takeProblems()
      const policy = (await (
        await fetch(site.server.url, { headers: { accept: 'text/html' } })
      ).headers.get('content-security-policy'))!
      const foreign = new Set(policy.match(/https?:\/\/[^\s;]+/g))
      const bucketOrigin = publicEndpoint?.(site.bucket.port) ?? new URL(site.bucket.endpoint).origin
      assert.deepEqual(foreign, new Set([elsewhere, bucketOrigin]), policy)
      const media = /img-src ([^;]*)/
        .exec(policy)![1]!
        .split(' ')
        .filter((source) => source.startsWith('http'))
      assert.deepEqual(media, [elsewhere], 'pictures from there alone')
    })
  }
})
