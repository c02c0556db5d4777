import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, watch } from 'node:fs'
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type StrictS3, startStrictS3 } from '../src/server.ts'
import { Bucket, sdk, temporaryFolder, until } from './running.ts'
import { credentials } from './signed-request.ts'

async function startProcess(
  t: TestContext,
  folder: string,
  sync: 'sync' | 'nosync',
): Promise<{ child: ChildProcess; endpoint: string; client: S3Client }> {
  // Without the runner's flags, which let a heap grow: its memory is measured.
  const child = fork(join(import.meta.dirname, 'folder-process.ts'), [folder, sync], { execArgv: [] })
  t.after(() => child.kill('SIGKILL'))
  const [{ endpoint }] = (await once(child, 'message')) as [{ endpoint: string }]
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
  t.after(() => client.destroy())
  return { child, endpoint, client }
}

const open = (folder: string, { isFailing = false } = {}): Promise<StrictS3> =>
  startStrictS3({
    store: { kind: 'folder', path: folder, sync: false },
    credentials,
    buckets: [Bucket],
    onInternalError: (error, request) => {
      if (!isFailing) console.error(request, error)
    },
  })

/** Ids of all blobs on disk, wherever they lie. */
async function blobsOnDisk(folder: string): Promise<string[]> {
  const fans = await readdir(join(folder, 'data'))
  const settled = await Promise.all(fans.map((fan) => readdir(join(folder, 'data', fan))))
  return [...settled.flat(), ...(await readdir(join(folder, 'incoming')))].sort()
}

async function blobsInRecords(s3: StrictS3): Promise<string[]> {
  return (await s3.stored.versions()).flatMap(({ version }) => version.blobs.map(({ id }) => id))
}

/** In each round: by then its six workers overwrite and delete what they have put. */
const ACKNOWLEDGED_BEFORE_KILL = 60

test('kill -9 in the middle of puts, overwrites, deletes and uploads loses nothing acknowledged and leaves nothing behind', {
  timeout: 120_000,
}, async (t) => {
  const folder = await temporaryFolder(t)
  /** key -> the digests that may be found: the acknowledged one, and the one in flight; null: none. */
  const expected = new Map<string, Set<string | null>>()
  let inFlightAtKill = 0
  for (let round = 0; round < 3; round++) {
    const { child, client } = await startProcess(t, folder, 'sync')
    let isAlive = true
    let inFlight = 0
    let acknowledged = 0
    const attempt = async (key: string, after: string | null, work: () => Promise<unknown>) => {
      const before = expected.get(key) ?? new Set([null])
      expected.set(key, new Set([...before, after]))
      inFlight += 1
      try {
        await work()
        expected.set(key, new Set([after]))
        acknowledged += 1
      } catch (error) {
        if (isAlive) throw error
        inFlightAtKill += 1
      } finally {
        inFlight -= 1
      }
    }
    const worker = async (name: string) => {
      for (let at = 0; isAlive; at++) {
        const bytes = randomBytes(20_000 + ((at * 7919) % 300_000))
        const digest = createHash('sha256').update(bytes).digest('hex')
        const Key = `users/${name}/${at % 5}/original.jpg`
        if (at % 4 === 3)
          await attempt(Key, null, () => client.send(new DeleteObjectCommand({ Bucket, Key })))
        else if (at % 4 === 2) {
          await attempt(Key, digest, async () => {
            const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
            const { ETag } = await client.send(
              new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: bytes }),
            )
            await client.send(
              new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 2, Body: 'left out' }),
            )
            const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
            await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload }))
          })
        } else
          await attempt(Key, digest, () => client.send(new PutObjectCommand({ Bucket, Key, Body: bytes })))
      }
    }
    const work = Promise.all(Array.from({ length: 6 }, (_, at) => worker(`${round}-${at}`)))
    const isTime = () => acknowledged >= ACKNOWLEDGED_BEFORE_KILL && inFlight > 0
    // Before the kill, `work` ends by an error alone.
    await Promise.race([work, until('a round has come far enough', isTime, 35_000)])
    isAlive = false
    child.kill('SIGKILL')
    await Promise.all([work, once(child, 'exit')])
  }
  assert.ok(
    inFlightAtKill > 0,
    'nothing was in flight when the server was killed: the test has tested nothing',
  )

  const s3 = await open(folder)
  t.after(() => s3.close())
  const found = new Map<string, string>()
  for (const { key } of await s3.stored.objects()) {
    found.set(
      key,
      createHash('sha256')
        .update(await s3.stored.bytes(key))
        .digest('hex'),
    )
  }
  for (const [key, digests] of expected) {
    assert.ok(
      digests.has(found.get(key) ?? null),
      `${key} holds ${found.get(key)}, which was never its content`,
    )
  }
  assert.deepEqual(
    [...found.keys()].filter((key) => !expected.has(key)),
    [],
  )
  const uploads = await Promise.all(
    (await s3.stored.unfinishedUploads()).map(({ id }) => readdir(join(folder, 'uploads', id))),
  )
  const parts = uploads.flat().filter((name) => name.startsWith('part-'))
  assert.equal((await blobsOnDisk(folder)).length, (await blobsInRecords(s3)).length + parts.length)
  assert.deepEqual(await readdir(join(folder, 'pending')), [])
})

test('everything is found again after a restart: objects, versions, settings, unfinished uploads', async (t) => {
  const folder = await temporaryFolder(t)
  let s3 = await open(folder)
  let client = sdk(t, s3)
  await client.send(
    new PutObjectCommand({ Bucket, Key: 'a/b', Body: 'bytes', ContentType: 'x/y', Metadata: { m: '1' } }),
  )
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'multi' }))
  const { ETag } = await client.send(
    new UploadPartCommand({ Bucket, Key: 'multi', UploadId, PartNumber: 1, Body: 'part' }),
  )
  await s3.close()
  s3 = await open(folder)
  t.after(() => s3.close())
  client = sdk(t, s3)
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b' }))
  assert.deepEqual(
    [await got.Body!.transformToString(), got.ContentType, got.Metadata],
    ['bytes', 'x/y', { m: '1' }],
  )
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'multi', UploadId, MultipartUpload }))
  assert.equal(String(await s3.stored.bytes('multi')), 'part')
  assert.deepEqual((await blobsOnDisk(folder)).sort(), (await blobsInRecords(s3)).sort())
})

test('overwriting, deleting, aborted and refused writes give their bytes and folders back', async (t) => {
  const folder = await temporaryFolder(t)
  const s3 = await open(folder)
  t.after(() => s3.close())
  const client = sdk(t, s3)
  const Key = 'users/one/two/original.jpg'
  for (const Body of ['one', 'two']) await client.send(new PutObjectCommand({ Bucket, Key, Body }))
  await assert.rejects(client.send(new PutObjectCommand({ Bucket, Key, Body: 'three', IfNoneMatch: '*' })))
  await assert.rejects(
    client.send(new PutObjectCommand({ Bucket, Key, Body: 'three', ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' })),
  )
  s3.faults.add({ times: 1, fault: { kind: 'cut-request', atByte: 1000 } })
  await assert.rejects(client.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(2_000_000) })))
  while (s3.activeRequests() > 0) await new Promise((resolve) => setTimeout(resolve, 2))
  assert.equal((await blobsOnDisk(folder)).length, 1)
  await client.send(new DeleteObjectCommand({ Bucket, Key }))
  assert.deepEqual(await blobsOnDisk(folder), [])
  assert.deepEqual(await readdir(join(folder, 'buckets', Bucket, 'keys')), [])
})

test('puts and deletes in one folder do not trip over one another', async (t) => {
  const s3 = await open(await temporaryFolder(t))
  t.after(() => s3.close())
  const client = sdk(t, s3)
  await Promise.all(
    Array.from({ length: 8 }, async (_, worker) => {
      for (let round = 0; round < 15; round++) {
        const Key = `deep/down/${worker}`
        await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
        await client.send(new DeleteObjectCommand({ Bucket, Key }))
      }
    }),
  )
  assert.deepEqual([await s3.stored.objects(), s3.counts.errors], [[], {}])
})

test('one process at a time; a dead one does not hold the folder', async (t) => {
  const folder = await temporaryFolder(t)
  const { child } = await startProcess(t, folder, 'nosync')
  await assert.rejects(open(folder), new RegExp(`in use by process ${child.pid}`))
  child.kill('SIGKILL')
  await once(child, 'exit')
  const s3 = await open(folder)
  await assert.rejects(open(folder), /in use by process/)
  await s3.close()
  // A number that lives, but is another process by now.
  await writeFile(join(folder, 'lock.json'), JSON.stringify({ pid: process.ppid, startedTicks: '1' }))
  await (await open(folder)).close()
  assert.deepEqual((await readdir(folder)).includes('lock.json'), false)
})

test('a copy of the folder of a running process can be opened beside it', async (t) => {
  const folder = await temporaryFolder(t)
  const { child, client } = await startProcess(t, folder, 'nosync')
  await client.send(new PutObjectCommand({ Bucket, Key: 'photo', Body: 'bytes' }))
  const copied = await temporaryFolder(t)
  await cp(folder, copied, { recursive: true })
  const copy = await open(copied)
  t.after(() => copy.close())
  await sdk(t, copy).send(new DeleteObjectCommand({ Bucket, Key: 'photo' }))
  assert.equal((await bytesAt(client, 'photo')).toString(), 'bytes')
  await assert.rejects(open(folder), new RegExp(`in use by process ${child.pid}`))
})

test('256 MiB go up and down without staying in memory', { timeout: 120_000 }, async (t) => {
  const { child, client } = await startProcess(t, await temporaryFolder(t), 'nosync')
  const residentBytes = async (): Promise<number> => {
    child.send('memory')
    const [answer] = (await once(child, 'message')) as [{ residentBytes: number }]
    return answer.residentBytes
  }
  const piece = randomBytes(1024 * 1024)
  const pieces = 256
  const whole = createHash('sha256')
  const warm = Buffer.alloc(32 * 1024 * 1024)
  await client.send(new PutObjectCommand({ Bucket, Key: 'warm', Body: warm }))
  await (await client.send(new GetObjectCommand({ Bucket, Key: 'warm' }))).Body!.transformToByteArray()
  const before = await residentBytes()
  let most = 0
  let isWatching = true
  const watch = (async () => {
    while (isWatching) {
      most = Math.max(most, await residentBytes())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
  async function* source() {
    for (let at = 0; at < pieces; at++) {
      whole.update(piece)
      yield piece
    }
  }
  await client.send(
    new PutObjectCommand({
      Bucket,
      Key: 'big',
      Body: Readable.from(source()),
      ContentLength: pieces * piece.length,
    }),
  )
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'big' }))
  const back = createHash('sha256')
  for await (const chunk of got.Body as Readable) back.update(chunk)
  isWatching = false
  await watch
  assert.equal(back.digest('hex'), whole.digest('hex'))
  const grown = (most - before) / 1024 ** 2
  assert.ok(grown < 60, `memory grew by ${grown.toFixed(0)} MiB`)
})

test('a half-written note of a killed process is no obstacle', async (t) => {
  const folder = await temporaryFolder(t)
  await (await open(folder)).close()
  await writeFile(join(folder, 'pending', '1.note'), '{"bucket":"pho')
  await writeFile(join(folder, 'pending', '1.new'), 'x')
  await writeFile(join(folder, 'incoming', 'leftover'), 'bytes')
  const s3 = await open(folder)
  t.after(() => s3.close())
  assert.deepEqual(
    [await readdir(join(folder, 'pending')), await readdir(join(folder, 'incoming'))],
    [[], []],
  )
  assert.match(await readFile(join(folder, 'buckets', Bucket, 'bucket.json'), 'utf8'), /"name":"photos"/)
})

test('what a power cut brings back of a finished part takes nothing from the object that it became', async (t) => {
  const folder = await temporaryFolder(t)
  const before = await open(folder)
  const pending = join(folder, 'pending')
  const notes = new Map<string, string>()
  // A file system may forget that a name was removed, and has kept everything that was synced since.
  const watcher = watch(pending, (_, name) => {
    if (!name?.endsWith('.note') || notes.has(name)) return
    try {
      const text = readFileSync(join(pending, name), 'utf8')
      if (text !== '') notes.set(name, text)
    } catch {
      // Removed already: the next part is tried.
    }
  })
  t.after(() => watcher.close())
  const client = sdk(t, before)
  const bytes = randomBytes(50_000)
  const at = { Bucket, Key: 'film' }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at))
  let ETag: string | undefined
  await until('a note was seen', async () => {
    const part = new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: bytes })
    notes.clear()
    ETag = (await client.send(part)).ETag
    return notes.size > 0
  })
  await client.send(
    new CompleteMultipartUploadCommand({
      ...at,
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
    }),
  )
  await before.close()
  for (const [name, text] of notes) await writeFile(join(pending, name), text)
  const after = await open(folder)
  t.after(() => after.close())
  const answer = await sdk(t, after).send(new GetObjectCommand(at))
  assert.deepEqual(Buffer.from(await answer.Body!.transformToByteArray()), bytes)
})

/** A key with an object that can't be removed: a change of it is made, and fails at its last step. */
async function putIrremovable(folder: string, s3: StrictS3, client: S3Client, Key: string): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket, Key, Body: randomBytes(1_000) }))
  const [id] = await blobsInRecords(s3)
  const path = join(folder, 'data', id!.slice(0, 2), id!)
  await rm(path)
  await mkdir(path)
}

async function bytesAt(client: S3Client, Key: string): Promise<Buffer> {
  const answer = await client.send(new GetObjectCommand({ Bucket, Key }))
  return Buffer.from(await answer.Body!.transformToByteArray())
}

test('a put that fails after its record is in place keeps the bytes that the record names', async (t) => {
  const folder = await temporaryFolder(t)
  const s3 = await open(folder, { isFailing: true })
  t.after(() => s3.close())
  const client = sdk(t, s3)
  await putIrremovable(folder, s3, client, 'photo')
  const bytes = randomBytes(50_000)
  const put = client.send(new PutObjectCommand({ Bucket, Key: 'photo', Body: bytes }))
  await assert.rejects(put, { name: 'InternalError' })
  assert.deepEqual(await bytesAt(client, 'photo'), bytes)
})

test('a copy that fails after its record is in place keeps the bytes that the record names', async (t) => {
  const folder = await temporaryFolder(t)
  const s3 = await open(folder, { isFailing: true })
  t.after(() => s3.close())
  const client = sdk(t, s3)
  await putIrremovable(folder, s3, client, 'copy')
  const bytes = randomBytes(50_000)
  await client.send(new PutObjectCommand({ Bucket, Key: 'photo', Body: bytes }))
  const copy = client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/photo` }))
  await assert.rejects(copy, { name: 'InternalError' })
  assert.deepEqual(await bytesAt(client, 'copy'), bytes)
})

test('an upload whose completion failed after its record was in place takes nothing from the object', async (t) => {
  const folder = await temporaryFolder(t)
  const s3 = await open(folder, { isFailing: true })
  t.after(() => s3.close())
  const client = sdk(t, s3)
  await putIrremovable(folder, s3, client, 'film')
  const bytes = randomBytes(50_000)
  const at = { Bucket, Key: 'film' }
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at))
  const part = { ...at, UploadId, PartNumber: 1 }
  const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: bytes }))
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
  const complete = client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload }))
  await assert.rejects(complete, { name: 'InternalError' })
  assert.deepEqual(await bytesAt(client, 'film'), bytes)
  // A client that sends it once more, and one that gives up.
  await client.send(new UploadPartCommand({ ...part, Body: randomBytes(1_000) }))
  assert.deepEqual(await bytesAt(client, 'film'), bytes)
  await client.send(new AbortMultipartUploadCommand({ ...at, UploadId }))
  assert.deepEqual(await bytesAt(client, 'film'), bytes)
})
