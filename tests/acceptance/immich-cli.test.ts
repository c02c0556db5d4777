/**
 * The whole way with the official Immich CLI against a running server and a real Ceph: every real photo and
 * video goes in, is offloaded and proven, leaves the local disk, and comes back bit for bit. Imports nothing
 * from `src/`.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { PRESETS } from '../../web/src/lib/account/key-permissions.ts'
import { type Client, connectClient } from '../support/client.ts'
import { mediaFolder } from '../support/files/media.ts'
import { type Ceph, startCeph } from '../support/services/ceph.ts'
import { immich } from '../support/services/immich-cli.ts'
import { type SpawnedServer, spawnServer } from '../support/spawn-server.ts'

const DRAIN_LIMIT_MS = 420_000
const BUCKET = 'acceptance'
const PROJECT = new URL('../..', import.meta.url).pathname

type Amount = { count: number; bytes: number }
type Status = {
  originals: Record<'total' | 'localOnly' | 'both' | 'offloaded' | 'atRisk' | 'inFlight', Amount>
}
type Receipt = {
  sha256: string
  size: number
  replicas: { location: string; state: string; proofLevel: number }[]
}
type Asset = { id: string; originalFileName: string; checksum: string }

let folder: string
let ceph: Ceph
let server: SpawnedServer
let client: Client
let cli: (...args: string[]) => Promise<string>

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-acceptance-'))
  await mkdir(join(folder, 'data'))
  ceph = await startCeph()
  await ceph.createBucket(BUCKET)
  server = await spawnServer({
    dataDir: join(folder, 'data'),
    config: `storage:
  s3:
    endpoint: ${ceph.endpoint}
    bucket: ${BUCKET}
    region: us-east-1
    accessKeyId: ${ceph.accessKeyId}
    secretAccessKey: ${ceph.secretAccessKey}
`,
  })
  client = await connectClient(server.url)
  cli = (...args) => immich(folder, args)
})

after(async () => {
  await server?.stop()
  await ceph?.stop()
  await rm(folder, { recursive: true, force: true })
})

test('a wrong key is told apart from a right one', async () => {
  await assert.rejects(
    cli('login', `${server.url}/api`, 'wrong'),
    /401[\s\S]*Invalid API key|Invalid API key/,
  )
  const made = await client.json<{ secret: string }>('/api-keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    // What the account page gives to a key for uploads.
    body: JSON.stringify({ name: 'cli', permissions: PRESETS.upload.permissions }),
  })
  assert.match(await cli('login', `${server.url}/api`, made.secret), /Logged in as admin@example.org/)
  assert.match(await cli('server-info'), /3\.2\.2/)
})

test('every file is uploaded, offloaded, proven, gone from the disk, and comes back unchanged', {
  timeout: 900_000,
}, async () => {
  const files = await supportedFiles()
  assert.ok(files.size > 150, `only ${files.size} different supported files in the media folder`)

  const said = await cli(
    ...['upload', '--recursive', '--album', '--concurrency', '4', '--no-progress'],
    mediaFolder(),
  )
  const assets = await allAssets()
  const uploaded = new Set(assets.map(({ checksum }) => Buffer.from(checksum, 'base64').toString('hex')))
  const missing = [...files].filter(([sha1]) => !uploaded.has(sha1)).map(([, { name }]) => name)
  assert.deepEqual(
    missing,
    [],
    `files that the CLI offered and that are not here; it said:\n${said}\n${server.output().slice(-20_000)}`,
  )

  const status = await drained()
  assert.equal(status.originals.total.count, assets.length)
  assert.equal(status.originals.offloaded.bytes, status.originals.total.bytes)
  const names = await readdir(join(folder, 'data', 'media'), { recursive: true })
  assert.deepEqual(
    names.filter((name) => /\/original\./.test(name)),
    [],
    'no local original is left',
  )

  for (const { id, checksum, originalFileName } of assets) {
    const expected = files.get(Buffer.from(checksum, 'base64').toString('hex'))!
    assert.equal(await client.sha256OfOriginal(id), expected.sha256, originalFileName)
    const { sha256, replicas } = await receipt(id)
    assert.equal(sha256, expected.sha256)
    assert.deepEqual(
      replicas.map(({ location, state }) => `${location} ${state}`),
      ['s3 verified'],
    )
    assert.ok(replicas[0]!.proofLevel >= 3)
  }
})

test('uploading all of it again adds nothing', async () => {
  const before = (await allAssets()).length
  const said = await cli('upload', '--recursive', '--no-progress', mediaFolder())
  assert.match(said, /All assets were already uploaded|duplicate/i)
  assert.equal((await allAssets()).length, before)
})

test('albums are named after folders and hold their photos', async () => {
  const albums = await client.json<{ albumName: string; assetCount: number }[]>('/albums')
  assert.ok(albums.length > 3)
  for (const { albumName, assetCount } of albums) assert.ok(assetCount > 0, albumName)
})

test('previews exist for all but the broken files, and those say why', async () => {
  let previews = 0
  for (const { id, originalFileName } of await allAssets()) {
    const response = await client.call(`/assets/${id}/thumbnail?size=preview`)
    const bytes = Buffer.from(await response.arrayBuffer())
    if (response.status === 200) {
      assert.match(response.headers.get('content-type') ?? '', /^image\//)
      assert.ok(bytes.length > 100)
      previews += 1
    } else {
      assert.equal(response.status, 404, originalFileName)
    }
  }
  assert.ok(previews > 150, `only ${previews} previews`)
})

test('ranges come from the bucket as asked, HEAD reads nothing', async () => {
  const [asset] = await allAssets()
  const whole = Buffer.from(await (await client.call(`/assets/${asset!.id}/original`)).arrayBuffer())
  const part = await client.call(`/assets/${asset!.id}/original`, { headers: { range: 'bytes=0-99' } })
  assert.equal(part.status, 206)
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(0, 100))
  const tail = await client.call(`/assets/${asset!.id}/original`, { headers: { range: 'bytes=-50' } })
  assert.deepEqual(Buffer.from(await tail.arrayBuffer()), whole.subarray(-50))
  const past = await client.call(`/assets/${asset!.id}/original`, {
    headers: { range: `bytes=${whole.length}-` },
  })
  assert.equal(past.status, 416)
  const head = await client.call(`/assets/${asset!.id}/original`, { method: 'HEAD' })
  assert.equal(Number(head.headers.get('content-length')), whole.length)
  assert.equal(head.headers.get('accept-ranges'), 'bytes')
})

test('the command line gives the same answers', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['src/bin/admin.ts', 'storage', 'status', '--json'],
    {
      cwd: PROJECT,
      env: {
        PATH: process.env.PATH,
        GLASSINE_DATA: join(folder, 'data'),
        GLASSINE_CONFIG: join(folder, `glassine-${new URL(server.url).port}.yaml`),
      },
    },
  )
  const { originals } = JSON.parse(stdout) as Status
  assert.equal(originals.offloaded.count, (await allAssets()).length)
})

test('SIGTERM ends everything within 10 s, children included, and a second start finds everything again', async () => {
  const before = (await allAssets()).length
  const { code, tookMs } = await server.stop()
  assert.equal(code, 0)
  assert.ok(tookMs < 10_000, `${tookMs} ms`)
  server = await spawnServer({
    dataDir: join(folder, 'data'),
    port: Number(new URL(server.url).port),
    env: { GLASSINE_CONFIG: join(folder, `glassine-${new URL(server.url).port}.yaml`) },
  })
  client = await connectClient(server.url)
  assert.equal((await allAssets()).length, before)
})

async function drained(): Promise<Status> {
  const deadline = Date.now() + DRAIN_LIMIT_MS
  for (;;) {
    const status = await client.json<Status>('/storage/status')
    assert.equal(status.originals.atRisk.count, 0)
    if (status.originals.offloaded.count === status.originals.total.count) return status
    if (Date.now() > deadline) assert.fail(`not drained: ${JSON.stringify(status.originals)}`)
    await sleep(500)
  }
}

async function allAssets(): Promise<Asset[]> {
  const found: Asset[] = []
  for (let page: string | null = '1'; page !== null; ) {
    const answer: { assets: { items: Asset[]; nextPage: string | null } } = await client.json(
      '/search/metadata',
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ page: Number(page), size: 100 }),
      },
    )
    found.push(...answer.assets.items)
    page = answer.assets.nextPage
  }
  return found
}

function receipt(assetId: string): Promise<Receipt> {
  return client.json<Receipt>(`/storage/receipts/${assetId}`)
}

/** The different files of a supported extension in the media folder, by SHA-1. */
async function supportedFiles(): Promise<Map<string, { name: string; sha256: string }>> {
  const types = await client.json<Record<'image' | 'video', string[]>>('/server/media-types')
  const extensions = new Set([...types.image, ...types.video])
  const files = new Map<string, { name: string; sha256: string }>()
  for (const entry of await readdir(mediaFolder(), { recursive: true, withFileTypes: true })) {
    const extension = entry.name.slice(entry.name.lastIndexOf('.')).toLowerCase()
    if (!entry.isFile() || !extensions.has(extension)) continue
    const sha1 = createHash('sha1')
    const sha256 = createHash('sha256')
    let size = 0
    for await (const chunk of createReadStream(join(entry.parentPath, entry.name))) {
      sha1.update(chunk as Buffer)
      sha256.update(chunk as Buffer)
      size += (chunk as Buffer).length
    }
    if (size > 0) files.set(sha1.digest('hex'), { name: entry.name, sha256: sha256.digest('hex') })
  }
  return files
}
