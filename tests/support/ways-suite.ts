/**
 * One suite for every way in and every mode of placement, against any S3 service: upload by the official CLI
 * and by the page in a real browser, download, ranges, archive, an outage, kill -9 in the middle of uploads,
 * deletion. It reaches into nothing of `src/`.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { CreateBucketCommand, ListObjectsV2Command, PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3'
import { ADMIN, type Client, connectClient } from './client.ts'
import { eventually } from './eventually.ts'
import { mediaFolder } from './files/media.ts'
import { readZip } from './files/zip.ts'
import { freePort } from './free-port.ts'
import { openPage } from './page/browser.ts'
import { sharedBrowser } from './page/shared-browser.ts'
import { pickFiles, uploadState, uploadsFinish } from './page/sheet-page.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { drained, photo, receiptOf, statusOf } from './server-with-bucket.ts'
import { immich } from './services/immich-cli.ts'
import { type SpawnedServer, spawnServer, WRITE_LEASE_SECONDS } from './spawn-server.ts'

export type Way = {
  upload: 'local-first' | 's3-first' | 'direct'
  mode: 'hybrid' | 'cache' | 'full'
}
export type ServiceAddress = { endpoint: string; accessKeyId: string; secretAccessKey: string }

const PROJECT = new URL('../..', import.meta.url).pathname
/** A photo, one that lies turned in its file, a HEIC, a film. */
const BY_CLI = [
  'orientation/Landscape_1.jpg',
  'orientation/Landscape_6.jpg',
  'metadata-extractor/heic/IMG_2927.HEIC',
  'metadata-extractor/mp4/Issue 515 (java).mp4',
]
const BY_PAGE = ['orientation/Portrait_1.jpg', 'orientation/Portrait_8.jpg']
/** A small machine with other work to do. */
const DRAIN_LIMIT_MS = 120_000
/** How long somebody may wait for the answer that the bucket is away. */
const OUTAGE_ANSWER_LIMIT_MS = 20_000

/** The settings of a way, below `storage:` of glassine.yaml. */
function settingsOf({ upload, mode }: Way): string {
  const everything = `
  locations: { originals: s3, thumbnails: s3, previews: s3, fullsize: s3, encodedVideos: s3, sidecars: s3, profileImages: s3, personFaces: s3, databaseBackups: s3 }`
  return `
  upload: { strategy: ${upload === 's3-first' ? 's3-first' : 'local-first'}, direct: ${upload === 'direct' ? 'on' : 'off'}, retryDelayMs: 50, writeLeaseSeconds: ${WRITE_LEASE_SECONDS} }${
    mode === 'hybrid' ? '' : everything
  }${mode === 'cache' ? '\n  cache: { maxBytes: 256 MiB }' : ''}`
}

/** In a bucket of its own at that service, which browsers may reach from any origin. */
export function testWay(way: Way, openService: () => Promise<ServiceAddress>, skip: string | false): void {
  const name = `${way.upload} into ${way.mode === 'hybrid' ? 'bucket and disk' : way.mode === 'full' ? 'the bucket alone' : 'the bucket with a cache'}`
  describe(name, { skip, timeout: 600_000 }, () => {
    let folder: string
    let service: ServiceAddress
    const bucket = `ways-${randomUUID()}`
    let s3: S3Client
    let server: SpawnedServer
    let client: Client
    let database: TestDatabase
    let config: string
    let port: number
    /** asset id -> SHA-256 of everything that was acknowledged and not deleted. */
    const acknowledged = new Map<string, string>()

    async function start(): Promise<void> {
      server = await spawnServer({ dataDir: join(folder, 'data'), config, port })
      client ??= await connectClient(server.url)
    }

    before(async () => {
      await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
      folder = await mkdtemp(join(tmpdir(), 'glassine-way-'))
      await mkdir(join(folder, 'data'))
      service = await openService()
      const { endpoint, accessKeyId, secretAccessKey } = service
      s3 = new S3Client({
        endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
      })
      await s3.send(new CreateBucketCommand({ Bucket: bucket }))
      const CORSRules = [
        {
          AllowedOrigins: ['*'],
          AllowedMethods: ['GET', 'HEAD', 'PUT'],
          AllowedHeaders: ['*'],
          ExposeHeaders: ['ETag'],
        },
      ]
      await s3.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }))
      database = await testDatabase()
      config = `database: { url: "${database.url}" }
storage:
  s3:
    endpoint: ${endpoint}
    bucket: ${bucket}
    region: us-east-1
    accessKeyId: ${accessKeyId}
    secretAccessKey: ${secretAccessKey}${settingsOf(way)}
`
      port = await freePort()
      await start()
      const { locations } = await client.json<{ locations: { id: string; health: string; error: string }[] }>(
        '/storage/probe',
        { method: 'POST' },
      )
      assert.equal(locations.find(({ id }) => id === 's3')?.health, 'healthy', JSON.stringify(locations))
    })
    after(async () => {
      await server?.stop()
      await database?.drop()
      s3?.destroy()
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    })

    async function keysInBucket(): Promise<string[]> {
      const keys: string[] = []
      for (let token: string | undefined; ; ) {
        const page = await s3.send(
          new ListObjectsV2Command({ Bucket: bucket, Prefix: 'users/', ContinuationToken: token }),
        )
        keys.push(...(page.Contents ?? []).map(({ Key }) => Key!))
        token = page.NextContinuationToken
        if (!page.IsTruncated) return keys
      }
    }

    async function everythingComesBack(): Promise<void> {
      for (const [id, sha256] of acknowledged) assert.equal(await client.sha256OfOriginal(id), sha256, id)
    }

    /** Adds what the server says it has to the manifest, after comparing it with the files that were sent. */
    async function acknowledge(paths: readonly string[]): Promise<void> {
      const digests = new Map<string, string>()
      for (const path of paths) digests.set(path.split('/').at(-1)!, digestOf(await readFile(path)))
      const { assets } = await client.json<{ assets: { items: { id: string; originalFileName: string }[] } }>(
        '/search/metadata',
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"size":1000}' },
      )
      for (const [fileName, sha256] of digests) {
        const asset = assets.items.find(({ originalFileName }) => originalFileName === fileName)
        assert.ok(asset, `${fileName} is not there`)
        assert.equal((await receiptOf(client, asset.id)).sha256, sha256, fileName)
        acknowledged.set(asset.id, sha256)
      }
    }

    async function allProcessed(): Promise<void> {
      for (const id of acknowledged.keys()) {
        await eventually(
          async () => assert.notEqual((await receiptOf(client, id)).processing.state, 'pending'),
          DRAIN_LIMIT_MS,
        )
      }
    }

    test('the official CLI uploads, and all of it is proven in the bucket and gone from the disk', async () => {
      const desk = join(folder, 'cli')
      await mkdir(desk)
      const paths = BY_CLI.map((file) => join(desk, file.split('/').at(-1)!))
      for (const [index, file] of BY_CLI.entries()) await copyFile(join(mediaFolder(), file), paths[index]!)
      const { secret } = await client.json<{ secret: string }>('/api-keys', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ name: 'cli', permissions: ['all'] }),
      })
      await immich(folder, ['login', `${server.url}/api`, secret])
      const said = await immich(folder, ['upload', '--recursive', '--no-progress', desk])
      assert.match(said, new RegExp(`Successfully uploaded ${BY_CLI.length} new assets`))
      await acknowledge(paths)
      const again = await immich(folder, ['upload', '--recursive', '--no-progress', desk])
      assert.match(again, /All assets were already uploaded|duplicate/i)
      await allProcessed()
      await drained(client, DRAIN_LIMIT_MS)
    })

    test('the page uploads in a browser, and its files are as safe', async () => {
      const { page, takeProblems } = await openPage(await sharedBrowser(), server.url)
      await page.goto('/auth/login')
      await page.getByLabel('E-mail').fill(ADMIN.email)
      await page.getByLabel('Password').fill(ADMIN.password)
      await page.keyboard.press('Enter')
      await page.waitForURL('**/photos')
      const paths = BY_PAGE.map((file) => join(mediaFolder(), file))
      const bodies: string[] = []
      page.on('request', (request) => {
        if (request.method() === 'PUT' || /\/api\/assets$/.test(request.url())) bodies.push(request.url())
      })
      await pickFiles(page, paths)
      await uploadsFinish(page, new RegExp(`${BY_PAGE.length} uploaded`))
      for (const path of paths) assert.equal(await uploadState(page, path.split('/').at(-1)!), 'done')
      const pastUs = bodies.filter((url) => url.startsWith(service.endpoint))
      const throughUs = bodies.filter((url) => /\/api\/assets$/.test(url))
      if (way.upload === 'direct') {
        assert.equal(throughUs.length, 0, `media went through the server: ${throughUs}`)
        assert.ok(pastUs.length >= BY_PAGE.length)
      } else {
        assert.equal(pastUs.length, 0)
        assert.equal(throughUs.length, BY_PAGE.length)
      }
      assert.deepEqual(takeProblems(), [], 'the page complained')
      await page.context().close()
      await acknowledge(paths)
      await allProcessed()
      await drained(client, DRAIN_LIMIT_MS)
    })

    test('every original comes back bit for bit, by range, and in an archive', async () => {
      await everythingComesBack()
      const film = [...acknowledged.keys()][BY_CLI.length - 1]!
      const whole = Buffer.from(await (await client.call(`/assets/${film}/original`)).arrayBuffer())
      for (const [range, bytes] of [
        ['bytes=0-99', whole.subarray(0, 100)],
        ['bytes=-50', whole.subarray(-50)],
        [`bytes=${whole.length - 10}-`, whole.subarray(-10)],
        ['bytes=70000-140000', whole.subarray(70_000, 140_001)],
      ] as const) {
        const part = await client.call(`/assets/${film}/original`, { headers: { range } })
        assert.equal(part.status, 206, range)
        assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes, range)
      }
      const past = await client.call(`/assets/${film}/original`, {
        headers: { range: `bytes=${whole.length}-` },
      })
      assert.equal(past.status, 416)
      const archive = await client.call('/download/archive', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ assetIds: [...acknowledged.keys()] }),
      })
      assert.equal(archive.status, 200)
      const entries = readZip(Buffer.from(await archive.arrayBuffer()))
      assert.deepEqual(
        entries.map(({ content }) => digestOf(content)).sort(),
        [...acknowledged.values()].sort(),
      )
    })

    test('thumbnails and previews are there, wherever they are kept', async () => {
      for (const id of acknowledged.keys()) {
        for (const size of ['thumbnail', 'preview']) {
          const answer = await client.call(`/assets/${id}/thumbnail?size=${size}`)
          assert.equal(answer.status, 200, `${size} of ${id}`)
          assert.ok((await answer.arrayBuffer()).byteLength > 100)
        }
      }
      const generated = (await keysInBucket()).filter((key) => /\/(thumbnail|preview)\./.test(key))
      if (way.mode === 'hybrid') assert.equal(generated.length, 0, 'previews stay at hand')
      else
        await eventually(
          async () => assert.ok((await keysInBucket()).some((key) => /\/preview\./.test(key))),
          DRAIN_LIMIT_MS,
        )
    })

    test('while the bucket is away the sheet is there, its originals answer soon and clearly, and all drains afterwards', async () => {
      const drill = await client.call('/storage/drill', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ location: 's3', minutes: 5 }),
      })
      assert.equal(drill.status, 201, await drill.text())
      const [id] = acknowledged.keys()
      const begunAt = Date.now()
      // What nobody has looked at is in no cache.
      const answer = await client.call(`/assets/${id}/original`)
      if (way.mode === 'cache') {
        assert.equal(
          digestOf(Buffer.from(await answer.arrayBuffer())),
          acknowledged.get(id!),
          'the cache has it',
        )
      } else {
        assert.equal(answer.status, 503, await answer.text())
        assert.ok(Number(answer.headers.get('retry-after')) > 0)
        assert.ok(Date.now() - begunAt < OUTAGE_ANSWER_LIMIT_MS)
      }
      const buckets = await client.json<{ count: number }[]>('/timeline/buckets')
      assert.equal(
        buckets.reduce((sum, { count }) => sum + count, 0),
        acknowledged.size,
      )
      if (way.mode === 'hybrid') assert.equal((await client.call(`/assets/${id}/thumbnail`)).status, 200)

      const bytes = await photo()
      if (way.upload === 's3-first') {
        await assert.rejects(client.upload(bytes, 'meanwhile.jpg'), /503/)
      } else {
        const { id: meanwhile, status } = await client.upload(bytes, 'meanwhile.jpg')
        assert.equal(status, 'created')
        acknowledged.set(meanwhile, digestOf(bytes))
        assert.equal(await client.sha256OfOriginal(meanwhile), digestOf(bytes))
      }
      assert.equal((await client.call('/storage/drill', { method: 'DELETE' })).status, 200)
      const again = await eventually(() => client.upload(bytes, 'meanwhile.jpg'), DRAIN_LIMIT_MS)
      acknowledged.set(again.id, digestOf(bytes))
      await drained(client, DRAIN_LIMIT_MS)
      await everythingComesBack()
    })

    test('kill -9 in the middle of uploads loses none that was acknowledged, and leaves nothing behind', async () => {
      let isOver = false
      let inFlight = 0
      const lanes = Array.from({ length: 3 }, async () => {
        while (!isOver) {
          const bytes = randomBytes(1_500_000)
          inFlight += 1
          try {
            const { id } = await client.upload(bytes, 'in-flight.jpg')
            acknowledged.set(id, digestOf(bytes))
          } catch (error) {
            if (!(error instanceof TypeError)) throw error // anything but a cut connection
            isOver = true
          } finally {
            inFlight -= 1
          }
        }
      })
      const before = acknowledged.size
      await eventually(() => assert.ok(acknowledged.size >= before + 4), DRAIN_LIMIT_MS)
      assert.ok(inFlight > 0, 'a kill that cuts nothing proves nothing')
      await server.kill9()
      isOver = true
      await Promise.all(lanes)
      await start()
      await drained(client, DRAIN_LIMIT_MS)
      const { originals } = await statusOf(client)
      assert.ok(originals.total.count >= acknowledged.size)
      await everythingComesBack()
    })

    test('what is deleted permanently is gone from the bucket and the disk', async () => {
      const ids = [...acknowledged.keys()]
      const gone = ids.slice(0, 3)
      const answer = await client.call('/assets', {
        method: 'DELETE',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ids: gone, force: true }),
      })
      assert.equal(answer.status, 204)
      for (const id of gone) acknowledged.delete(id)
      await eventually(async () => {
        const held = await keysInBucket()
        const here = await readdir(join(folder, 'data', 'media'), { recursive: true })
        for (const id of gone)
          assert.deepEqual(
            [...held, ...here].filter((key) => key.includes(`${id}/`)),
            [],
          )
      }, DRAIN_LIMIT_MS)
      await everythingComesBack()
    })
  })
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
