/**
 * Direct uploads as a person sees them: a real browser, the real server, and a bucket of another origin whose
 * CORS rules decide. Imports nothing from `src/` or `web/` but the strict S3 server that stands for the
 * bucket.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type CORSRule, PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { ADMIN } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { needsBrowser, openPage, type WatchedPage } from '../../support/page/browser.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import { pickFiles, UPLOAD_LIMIT_MS, uploadState, uploadsFinish } from '../../support/page/sheet-page.ts'
import {
  BUCKET,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const MIB = 1024 * 1024
const { skip } = await needsBrowser()

describe('direct uploads in a browser', { skip, timeout: 600_000 }, () => {
  let folder: string
  let running: ServerWithBucket
  let browser: Browser

  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    folder = await mkdtemp(join(tmpdir(), 'glassine-direct-'))
    running = await startServerWithBucket()
    await probed(running.client)
    browser = await sharedBrowser()
  })

  after(async () => {
    await closePages()
    await running?.close()
    await rm(folder, { recursive: true, force: true })
  })

  async function allowOrigins(origins: string[]): Promise<void> {
    const client = new S3Client({
      endpoint: running.bucket.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'faults', secretAccessKey: 'faults-secret' },
    })
    const rule: CORSRule = {
      AllowedOrigins: origins,
      AllowedMethods: ['PUT'],
      AllowedHeaders: ['content-md5', 'content-type', 'if-none-match'],
    }
    await client.send(new PutBucketCorsCommand({ Bucket: BUCKET, CORSConfiguration: { CORSRules: [rule] } }))
    client.destroy()
  }

  async function logIn(): Promise<WatchedPage> {
    const watched = await openPage(browser, running.server.url)
    const { page } = watched
    await page.goto('/auth/login')
    await page.getByLabel('E-mail').fill(ADMIN.email)
    await page.getByLabel('Password').fill(ADMIN.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/photos')
    return watched
  }

  async function file(name: string, bytes: Buffer): Promise<string> {
    const path = join(folder, name)
    await writeFile(path, bytes)
    return path
  }

  test('a bucket that lets nobody in: the file goes through the server, and the panel says why', async () => {
    const { page } = await logIn()
    await pickFiles(page, [await file('guarded.jpg', await photo(640))])
    await uploadsFinish(page, /1 uploaded/)
    await page
      .getByText(/^Through the server: 127\.0\.0\.1:\d+ answers, but not to pages of this address \(CORS\)/)
      .waitFor()
    await page.context().close()
  })

  test('a bucket that lets the page in: the bytes go there, and appear when they are proven', async () => {
    await allowOrigins([running.server.url])
    const watched = await logIn()
    const { page } = watched
    const ordinary: string[] = []
    page.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/api/assets')) ordinary.push(request.url())
    })
    const film = randomBytes(33 * MIB)
    running.bucket.counts.reset()
    await pickFiles(page, [await file('open.jpg', await photo(640)), await file('film.mp4', film)])
    await uploadsFinish(page, /2 uploaded/)
    await page.getByText('Straight into the bucket', { exact: true }).waitFor()
    for (const name of ['open.jpg', 'film.mp4']) assert.equal(await uploadState(page, name), 'done')
    assert.deepEqual(ordinary, [], 'nothing went through the server')
    assert.equal(running.bucket.counts.of('UploadPart'), 3)
    await page.locator('a[data-id] img.shown').first().waitFor({ timeout: UPLOAD_LIMIT_MS })
    if (process.env.GLASSINE_SCREENSHOTS)
      await page.screenshot({ path: join(process.env.GLASSINE_SCREENSHOTS, 'direct.png') })
    assert.deepEqual(watched.takeProblems(), [])
    await page.context().close()
  })

  test('a photo with a sidecar goes through the server, and its row says why', async () => {
    await allowOrigins([running.server.url])
    const { page, takeProblems } = await logIn()
    const ordinary: string[] = []
    page.on('request', (request) => {
      if (request.method() === 'POST' && request.url().endsWith('/api/assets')) ordinary.push(request.url())
    })
    const xmp = Buffer.from('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    const paths = await Promise.all([
      file('edited.jpg', await photo(641)),
      file('edited.jpg.xmp', xmp),
      file('plain.jpg', await photo(642)),
    ])
    await pickFiles(page, paths)
    await uploadsFinish(page, /2 uploaded/)
    await page.getByText('Straight into the bucket', { exact: true }).waitFor()
    const rows = page.getByLabel('Uploads', { exact: true }).getByRole('listitem')
    const why = /through the server, because its sidecar/
    await rows
      .filter({ has: page.getByTitle('edited.jpg') })
      .filter({ hasText: why })
      .waitFor()
    assert.equal(await rows.filter({ hasText: why }).count(), 1)
    assert.equal(ordinary.length, 1)
    assert.deepEqual(takeProblems(), [])
    await page.context().close()
  })

  test('a bucket that stops taking files: the file goes through the server, and the next page is told to try first', async () => {
    const { bucket, server, client } = running
    const isOpen = async () =>
      (
        await client.json<{ isOpenToPage: boolean }>(
          `/storage/uploads/config?origin=${encodeURIComponent(server.url)}`,
        )
      ).isOpenToPage
    assert.equal(await isOpen(), true, 'pages before this one put files there')
    const { page } = await logIn()
    bucket.faults.add({ match: { operation: 'PutObject' }, fault: { kind: 'reset' } })
    await pickFiles(page, [await file('late.jpg', await photo(643))])
    await uploadsFinish(page, /1 uploaded/)
    await page.getByText(/^Through the server: /).waitFor()
    assert.equal(await uploadState(page, 'late.jpg'), 'done')
    const { uploads } = await client.json<{ uploads: unknown[] }>('/storage/uploads?state=open')
    assert.deepEqual(uploads, [], 'what was announced is given up, and its size with it')
    // It was an administrator's.
    await eventually(async () => assert.equal(await isOpen(), false), UPLOAD_LIMIT_MS)
    bucket.faults.clear()
    await page.context().close()
  })

  test('a page that is closed in the middle: the next one offers to go on, and sends the rest only', async () => {
    await allowOrigins([running.server.url])
    const film = await file('long.mp4', randomBytes(100 * MIB))
    const { bucket } = running
    // The first batch of parts arrives; the second never gets an answer.
    bucket.counts.reset()
    bucket.faults.add({ match: { operation: 'UploadPart' }, after: 4, fault: { kind: 'hang' } })
    const first = await logIn()
    await pickFiles(first.page, [film])
    await eventually(() => assert.equal(bucket.counts.of('UploadPart'), 7), UPLOAD_LIMIT_MS)
    await first.page.context().close()
    bucket.faults.clear()
    bucket.counts.reset()

    const { page, takeProblems } = await logIn()
    const unfinished = page.getByLabel('Unfinished uploads')
    await unfinished.getByText('1 upload not finished:').waitFor()
    await unfinished.getByText('long.mp4').waitFor()
    if (process.env.GLASSINE_SCREENSHOTS)
      await page.screenshot({ path: join(process.env.GLASSINE_SCREENSHOTS, 'unfinished.png') })
    const [chooser] = await Promise.all([
      page.waitForEvent('filechooser'),
      unfinished.getByRole('button', { name: 'Choose files and continue' }).click(),
    ])
    await chooser.setFiles([film])
    await uploadsFinish(page, /1 uploaded/)
    assert.equal(bucket.counts.of('UploadPart'), 3, 'seven parts, four were there')
    await unfinished.waitFor({ state: 'hidden' })
    assert.deepEqual(takeProblems(), [])
    await page.context().close()
  })

  test('a paused upload sends no further part until it goes on', async () => {
    const { bucket } = running
    const film = await file('paused.mp4', randomBytes(100 * MIB))
    bucket.counts.reset()
    const held = Promise.withResolvers<void>()
    const parts = bucket.faults.add({
      match: { operation: 'UploadPart' },
      fault: { kind: 'hold', until: held.promise },
    })
    const { page, takeProblems } = await logIn()
    await pickFiles(page, [film])
    await eventually(() => assert.equal(parts.hits, 4), UPLOAD_LIMIT_MS)
    await page.getByRole('button', { name: /^Pause: / }).click()
    await page.getByText('Paused, 1 to go').waitFor()
    held.resolve()
    const { uploads } = await running.client.json<{ uploads: { id: string }[] }>(
      '/storage/uploads?state=open',
    )
    await eventually(async () => {
      const { present } = await running.client.json<{ present: unknown[] }>(
        `/storage/uploads/${uploads[0]!.id}`,
      )
      assert.equal(present.length, 4)
    }, UPLOAD_LIMIT_MS)
    // By the time that another page has sent all of its film, this one would have sent its next parts.
    const other = await logIn()
    await pickFiles(other.page, [await file('meanwhile.mp4', randomBytes(33 * MIB))])
    await uploadsFinish(other.page, /1 uploaded/)
    await other.page.context().close()
    assert.equal(parts.hits, 4 + 3, 'the batch that was under way, and the other film')
    await page.getByRole('button', { name: 'Continue uploading' }).click()
    await uploadsFinish(page, /1 uploaded/)
    assert.equal(parts.hits, 7 + 3)
    assert.deepEqual(takeProblems(), [])
    await page.context().close()
  })
})
