/** What holds of every upload, whichever strategy it goes by and whichever service is behind it. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import type { UploadStrategy } from '../../../src/config.ts'
import { silentLog } from '../../../src/log.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { type Breaker, createBreaker, DEFAULT_BREAKER_RULES } from '../../../src/storage/guards/breaker.ts'
import { probeOnStall } from '../../../src/storage/guards/probe-on-stall.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { eventually } from '../../support/eventually.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../../support/server.ts'
import { probeOnce } from '../../support/storage/probe-once.ts'

const MIB = 1024 * 1024
/** Three parts of the test settings' 5 MiB. */
export const LARGE_BYTES = 12 * MIB + 5
// A picture with something behind its end, which decoders don't mind: different at every call.
const picture = await sharp({ create: { width: 64, height: 48, channels: 3, background: 'teal' } })
  .jpeg()
  .toBuffer()
export const photo = () => Buffer.concat([picture, randomBytes(40_000)])
export const large = () => Buffer.concat([picture, randomBytes(LARGE_BYTES - picture.length)])
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

export type Site = TestServer & { backend: StorageBackend; breaker: Breaker }

/** The server in this process, with originals at a real S3 service. */
export async function startSite(
  t: TestContext,
  settings: S3Settings,
  options: TestServerOptions & { answerWithinMs?: number } = {},
): Promise<Site> {
  const breaker = createBreaker('the bucket', {
    ...DEFAULT_BREAKER_RULES,
    answerWithinMs: options.answerWithinMs ?? 60_000,
    // Only a silence of the whole place opens it here: the suites fail one request after another.
    failures: 1_000,
  })
  const silence = {
    answerWithinMs: breaker.rules.answerWithinMs,
    onSilence: probeOnStall(breaker, (signal) => bare.readMarker({ signal })),
  }
  const bare: StorageBackend = openS3Backend({ ...settings, silence }, silentLog)
  const limited = withLimits(withBreaker(bare, breaker), { reads: 8, writes: 8, others: 8 })
  const backend = withRetry(limited, { attempts: 3, delayMs: 5, log: silentLog })
  backend.useFeatures((await probeOnce(settings.endpoint, settings)).features)
  const server = await startTestServer(t, {
    remotes: [],
    originals: ['s3'],
    extra: [{ ...locationOfBackend('s3', 's3', backend), breaker }],
    ...options,
  })
  return { ...server, backend, breaker }
}

export const rulesOf = (strategy: UploadStrategy) => ({ upload: { strategy }, rollout: null })

type Answer = { status: number; body: { id: string; status: string; message: string } }

export function formOf(bytes: Buffer, fileName: string, sidecar?: Buffer) {
  const boundary = `----glassine${randomBytes(8).toString('hex')}`
  const file = (name: string, value: Buffer, called: string) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${called}"\r\n` +
        'Content-Type: application/octet-stream\r\n\r\n',
    ),
    value,
    Buffer.from('\r\n'),
  ]
  const times = ['fileCreatedAt', 'fileModifiedAt'].map((name) =>
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n2024-05-01T10:00:00.000Z\r\n`,
    ),
  )
  return {
    body: Buffer.concat([
      ...times,
      ...file('assetData', bytes, fileName),
      ...(sidecar ? file('sidecarData', sidecar, 'a.xmp') : []),
      Buffer.from(`--${boundary}--\r\n`),
    ]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

export async function upload(
  site: Site,
  bytes: Buffer,
  fileName: string,
  sidecar?: Buffer,
  client = site.admin,
): Promise<Answer> {
  const form = formOf(bytes, fileName, sidecar)
  const response = await client.call('/assets', {
    method: 'POST',
    body: new Uint8Array(form.body),
    headers: form.headers,
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

/** Sends the head and the first `bytes` of the body; the connection stays open. */
export async function beginUpload(
  site: Site,
  form: ReturnType<typeof formOf>,
  bytes: number,
): Promise<Socket> {
  const { port, hostname } = new URL(site.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(
    `POST /api/assets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${site.admin.token}\r\n` +
      `content-type: ${form.headers['content-type']}\r\ncontent-length: ${form.body.length}\r\n\r\n`,
  )
  await new Promise((resolve) => socket.write(form.body.subarray(0, bytes), resolve))
  return socket
}

type Counts = { assets: number; objects: number; replicas: number; uploads: number }

/** Everything that an upload could leave behind, anywhere. */
export async function traces(site: Site) {
  const keys: string[] = []
  for await (const { key } of site.backend.list('users/')) keys.push(key)
  const files = await readdir(site.mediaLocation, { recursive: true, withFileTypes: true })
  const { rows } = await site.pool.query<Counts>(`select
    (select count(*)::int from asset) as assets, (select count(*)::int from stored_object) as objects,
    (select count(*)::int from replica) as replicas, (select count(*)::int from unfinished_upload) as uploads`)
  return {
    ...rows[0]!,
    inBucket: keys.sort(),
    unfinished: await unfinishedUploads(site),
    onDisk: files
      .filter(
        (entry) => entry.isFile() && !entry.name.startsWith('.') && !entry.parentPath.includes('.scratch'),
      )
      .map((entry) => join(entry.parentPath, entry.name))
      .sort(),
  }
}

export async function unfinishedUploads(site: Site): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of site.backend.multipart!.listUnfinished('users/')) found.push(key)
  return found
}

/** Where the asset's original is, as `location state level`. */
export async function placesOf(site: Site, assetId: string): Promise<string[]> {
  const { rows } = await site.pool.query<{ place: string }>(
    `select r.location_id || ' ' || r.state || ' ' || coalesce(r.proof_level::text, '-') as place
     from replica r join asset a on a.original_object_id = r.object_id where a.id = $1 order by 1`,
    [assetId],
  )
  return rows.map(({ place }) => place)
}

/** Runs jobs until the original is in one place only. */
export async function offloaded(site: Site, assetId: string): Promise<string[]> {
  return eventually(async () => {
    await site.runJobs()
    const places = await placesOf(site, assetId)
    assert.equal(places.length, 1, places.join())
    return places
  }, 60_000)
}

/** Runs jobs until nothing is left to do with any original. */
export async function settled(site: Site): Promise<void> {
  await eventually(async () => {
    await site.runJobs()
    const { rows } = await site.pool.query('select count(*)::int as count from graphile_worker.jobs')
    assert.deepEqual(rows, [{ count: 0 }])
  }, 60_000)
}

/** The bytes that the bucket holds of an asset's original, found by its key alone. */
export async function bytesInBucket(site: Site, assetId: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const { key } of site.backend.list('users/')) {
    if (!key.includes(`/${assetId}/original.`)) continue
    for await (const chunk of (await site.backend.get(key)).stream) chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

/** The cases that both strategies share. `settings` is asked once for each strategy: a bucket of its own. */
export function uploadSuite(strategy: UploadStrategy, settings: () => Promise<S3Settings>): void {
  test(`${strategy}: the same cases`, { timeout: 240_000 }, async (t) => {
    const site = await startSite(t, await settings(), { uploads: rulesOf(strategy) })
    const bodies = [
      { what: 'a photo', bytes: photo, name: 'photo.jpg' },
      { what: 'a large photo', bytes: large, name: 'large.jpg' },
    ]

    for (const { what, bytes: make, name } of bodies) {
      await t.test(
        `${what} is acknowledged where the strategy says, and ends in the bucket alone`,
        async () => {
          const bytes = make()
          const { status, body } = await upload(site, bytes, name)
          assert.equal(status, 201, JSON.stringify(body))
          if (strategy === 's3-first') {
            assert.deepEqual(await placesOf(site, body.id), ['local verified 2', 's3 verified 3'])
            assert.equal(sha256(await bytesInBucket(site, body.id)), sha256(bytes))
          } else {
            assert.deepEqual(await placesOf(site, body.id), ['local verified 2'])
          }
          assert.equal(await site.admin.sha256OfOriginal(body.id), sha256(bytes))
          await settled(site)
          assert.deepEqual(await placesOf(site, body.id), ['s3 verified 3'])
          assert.equal(sha256(await bytesInBucket(site, body.id)), sha256(bytes))
          assert.equal(await site.admin.sha256OfOriginal(body.id), sha256(bytes))
          const { unfinished, uploads } = await traces(site)
          assert.deepEqual({ unfinished, uploads }, { unfinished: [], uploads: 0 })
        },
      )

      await t.test(`${what} a second time is a duplicate, and leaves nothing`, async () => {
        const bytes = make()
        const { body } = await upload(site, bytes, name)
        await settled(site)
        const before = await traces(site)
        const again = await upload(site, bytes, name)
        assert.deepEqual(again, { status: 200, body: { id: body.id, status: 'duplicate' } })
        await eventually(async () => assert.deepEqual(await traces(site), before))
      })

      await t.test(`${what} four times at once is one asset`, async () => {
        const bytes = make()
        const answers = await Promise.all(Array.from({ length: 4 }, () => upload(site, bytes, name)))
        assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 200, 201])
        assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
        assert.deepEqual(await offloaded(site, answers[0]!.body.id), ['s3 verified 3'])
        const { inBucket, objects } = await traces(site)
        assert.equal(inBucket.filter((key) => key.includes('/original.')).length, inBucket.length)
        const originals = await site.pool.query("select from stored_object where kind = 'original'")
        assert.equal(inBucket.length, originals.rowCount, `${objects} objects`)
      })

      await t.test(`${what} cut at any byte leaves nothing, and can be sent again`, async () => {
        await settled(site)
        const before = await traces(site)
        const bytes = make()
        const form = formOf(bytes, name)
        const cuts = [
          0,
          1,
          300,
          500,
          Math.floor(form.body.length * 0.7),
          form.body.length - 100,
          form.body.length - 1,
        ]
        for (const cut of cuts) {
          const socket = await beginUpload(site, form, cut)
          await eventually(async () => {
            // As far as it got: the parts that are full are under way before the connection breaks.
            if (strategy !== 's3-first' || cut < LARGE_BYTES / 2) return
            assert.equal((await unfinishedUploads(site)).length, 1)
          })
          socket.destroy()
          await eventually(async () => assert.deepEqual(await traces(site), before))
        }
        assert.equal((await upload(site, bytes, name)).status, 201)
      })
    }

    await t.test('an empty file is refused, and leaves nothing', async () => {
      await settled(site)
      const before = await traces(site)
      const { status, body } = await upload(site, Buffer.alloc(0), 'photo.jpg')
      assert.equal(status, 400)
      assert.match(body.message, /empty/)
      assert.deepEqual(await traces(site), before)
    })

    await t.test('what the quota does not allow leaves nothing, known only at the end', async () => {
      await settled(site)
      const before = await traces(site)
      const user = await site.newUser('limited', { quotaBytes: LARGE_BYTES - 1 })
      const { status, body } = await upload(site, large(), 'large.jpg', undefined, user)
      assert.equal(status, 400)
      assert.match(body.message, /Quota/)
      await eventually(async () => assert.deepEqual(await traces(site), before))
    })

    await t.test('a sidecar goes where the policy puts sidecars', async () => {
      const bytes = photo()
      const { status, body } = await upload(site, bytes, 'photo.jpg', Buffer.from('<x:xmpmeta/>'))
      assert.equal(status, 201)
      const { rows } = await site.pool.query<{ location_id: string }>(
        `select r.location_id from asset_file f join replica r on r.object_id = f.object_id
         where f.asset_id = $1 and f.kind = 'sidecar'`,
        [body.id],
      )
      assert.deepEqual(rows, [{ location_id: 'local' }])
    })
  })
}
