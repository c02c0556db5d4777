import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StorageError } from '../../../src/storage/backend.ts'
import { eventually } from '../../support/eventually.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const TIMES = { fileCreatedAt: '2024-05-01T10:00:00.000Z', fileModifiedAt: '2024-05-02T10:00:00.000Z' }

type Answer = { id: string; status: string; message: string; errors: { path: string[] }[] }
type Part = { name: string; value: string | Buffer; fileName?: string }

function formOf(parts: Part[]): { body: Buffer; headers: Record<string, string> } {
  const boundary = `----glassine${randomBytes(8).toString('hex')}`
  const chunks = parts.flatMap(({ name, value, fileName }) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${fileName === undefined ? '' : `; filename="${fileName}"`}\r\n` +
        `${fileName === undefined ? '' : 'Content-Type: application/octet-stream\r\n'}\r\n`,
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ])
  return {
    body: Buffer.concat([...chunks, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  }
}

const photo = (seed = randomBytes(8)) =>
  Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), seed, randomBytes(5_000)])
const timeParts: Part[] = Object.entries(TIMES).map(([name, value]) => ({ name, value }))
const fileParts = (bytes: Buffer, fileName = 'photo.jpg'): Part[] => [
  ...timeParts,
  { name: 'assetData', value: bytes, fileName },
]

async function post(server: TestServer, parts: Part[], headers: Record<string, string> = {}) {
  const form = formOf(parts)
  const response = await server.admin.call('/assets', {
    method: 'POST',
    body: new Uint8Array(form.body),
    headers: { ...form.headers, ...headers },
  })
  return { status: response.status, body: (await response.json()) as Answer }
}

async function countOf(server: TestServer, table: 'asset' | 'stored_object' | 'replica'): Promise<number> {
  const row = await server.db
    .selectFrom(table)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

async function stagedFiles(server: TestServer): Promise<string[]> {
  return (await readdir(join(server.mediaLocation, 'staging'))).filter((name) => !name.endsWith('.scratch'))
}

test('uploads', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server

  await t.test('a file becomes an asset; the same bytes again are a duplicate of it', async () => {
    const bytes = photo()
    const first = await post(server, fileParts(bytes))
    assert.equal(first.status, 201)
    assert.deepEqual(Object.keys(first.body).sort(), ['id', 'status'])
    assert.equal(first.body.status, 'created')

    const again = await post(server, fileParts(bytes, 'other name.png'))
    assert.equal(again.status, 200)
    assert.deepEqual(again.body, { id: first.body.id, status: 'duplicate' })

    const asset = await admin.json<Record<string, unknown>>(`/assets/${first.body.id}`)
    assert.equal(asset.checksum, createHash('sha1').update(bytes).digest('base64'))
    assert.equal(asset.fileCreatedAt, TIMES.fileCreatedAt)
    assert.equal(asset.fileModifiedAt, TIMES.fileModifiedAt)
    assert.equal(asset.localDateTime, TIMES.fileCreatedAt)
    assert.equal(asset.width, null)
    const sha256 = await admin.sha256OfOriginal(first.body.id)
    assert.equal(sha256, createHash('sha256').update(bytes).digest('hex'))

    const jobs = await server.pool.query(`select key from graphile_worker.jobs where key = $1`, [
      `process:${first.body.id}`,
    ])
    assert.equal(jobs.rowCount, 1)
    assert.deepEqual(await stagedFiles(server), [])
  })

  await t.test('fields may follow the file, unknown ones are ignored, a sidecar is kept', async () => {
    const sidecar = Buffer.from('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    const { status, body } = await post(server, [
      { name: 'assetData', value: photo(), fileName: 'first.jpg' },
      { name: 'sidecarData', value: sidecar, fileName: 'first.jpg.xmp' },
      { name: 'deviceAssetId', value: 'x' },
      { name: 'metadata', value: '[{"key":"mobile-app","value":{}}]' },
      { name: 'extra', value: '', fileName: '' },
      { name: 'isFavorite', value: 'true' },
      { name: 'visibility', value: 'archive' },
      { name: 'duration', value: '1500' },
      { name: 'filename', value: 'better name.jpg' },
      ...timeParts,
    ])
    if (status === 400) assert.fail(JSON.stringify(body))
    assert.equal(status, 201)
    const asset = await admin.json<Record<string, unknown>>(`/assets/${body.id}`)
    assert.equal(asset.originalFileName, 'better name.jpg')
    assert.equal(asset.isFavorite, true)
    assert.equal(asset.visibility, 'archive')
    assert.equal(asset.isArchived, true)
    assert.equal(asset.duration, 1500)
    const receipt = await admin.json<{ files: { kind: string; size: number }[] }>(
      `/storage/receipts/${body.id}`,
    )
    assert.deepEqual(
      receipt.files.map(({ kind, size }) => ({ kind, size })),
      [{ kind: 'sidecar', size: sidecar.length }],
    )
  })

  await t.test('a sidecar that comes with a duplicate is added where there is none', async () => {
    const bytes = photo()
    const { body } = await post(server, fileParts(bytes))
    const sidecar = { name: 'sidecarData', value: Buffer.from('<x:xmpmeta/>'), fileName: 'a.xmp' }
    const again = await post(server, [...fileParts(bytes), sidecar])
    assert.deepEqual(again.body, { id: body.id, status: 'duplicate' })
    const receipt = await admin.json<{ files: { kind: string }[] }>(`/storage/receipts/${body.id}`)
    assert.deepEqual(
      receipt.files.map((file) => file.kind),
      ['sidecar'],
    )
  })

  await t.test('what is wrong is named, and nothing stays', async () => {
    const before = { assets: await countOf(server, 'asset'), objects: await countOf(server, 'stored_object') }
    const cases: [Part[], RegExp, string[]?][] = [
      [[...timeParts], /assetData: a file is required/, ['assetData']],
      [
        [...timeParts, { name: 'assetData', value: 'not a file' }],
        /assetData: send it as a file, with a name/,
      ],
      [fileParts(Buffer.alloc(0)), /empty \(0 bytes\)/],
      [[{ name: 'assetData', value: photo(), fileName: 'a.jpg' }], /Validation failed/, ['fileCreatedAt']],
      [
        [{ name: 'fileCreatedAt', value: 'yesterday' }, ...fileParts(photo()).slice(1)],
        /Validation failed/,
        ['fileCreatedAt'],
      ],
      [
        [...fileParts(photo()), { name: 'duration', value: '0:00:00.000000' }],
        /Validation failed/,
        ['duration'],
      ],
      [
        [...fileParts(photo()), { name: 'visibility', value: 'everyone' }],
        /Validation failed/,
        ['visibility'],
      ],
      [[...fileParts(photo()), { name: 'visibility', value: 'locked' }], /Validation failed/, ['visibility']],
      [
        [...fileParts(photo()), { name: 'livePhotoVideoId', value: 'x' }],
        /Validation failed/,
        ['livePhotoVideoId'],
      ],
      [fileParts(photo(), 'notes.txt'), /Unsupported file type notes\.txt/],
      [fileParts(photo(), 'noextension'), /Unsupported file type/],
      // Said to be "created", its sender deletes the film, too.
      [
        [...fileParts(photo()), { name: 'livePhotoData', value: photo(), fileName: 'film.mov' }],
        /livePhotoData: no such file is kept here/,
      ],
      [
        [...fileParts(photo()), { name: 'sidecarData', value: '<x:xmpmeta/>' }],
        /sidecarData: send it as a file, with a name/,
      ],
      [[...fileParts(photo()), { name: 'assetData', value: photo(), fileName: 'b.jpg' }], /one file only/],
      [
        [{ name: 'livePhotoVideoId', value: '00000000-0000-4000-8000-000000000000' }, ...fileParts(photo())],
        /Live photo video not found/,
      ],
      [
        [...fileParts(photo()), { name: 'livePhotoVideoId', value: '00000000-0000-4000-8000-000000000000' }],
        /Live photo video not found/,
      ],
    ]
    for (const [parts, message, path] of cases) {
      const { status, body } = await post(server, parts)
      assert.equal(status, 400, JSON.stringify(body))
      assert.match(body.message, message)
      if (path) assert.deepEqual(body.errors[0]!.path, path)
    }
    const notMultipart = await admin.call('/assets', {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(notMultipart.status, 400)
    await eventually(async () => {
      assert.equal(await countOf(server, 'asset'), before.assets)
      assert.equal(await countOf(server, 'stored_object'), before.objects)
      assert.deepEqual(await stagedFiles(server), [])
    })
  })

  await t.test('names are only ever data', async () => {
    const names = [
      '../../../../etc/passwd.jpg',
      'C:\\windows\\evil.jpg',
      '📷 Ünï – "quoted"; x=y.jpg',
      `${'n'.repeat(300)}.jpg`,
      `${'🎞'.repeat(2_000)}.jpg`,
      'line\nbreak\rand\ttab.jpg',
      'nul\0byte.jpg',
      '<img src=x onerror=alert(1)>.jpg',
      '.jpg',
    ]
    for (const name of names) {
      const bytes = photo()
      const { status, body } = await post(server, [...fileParts(bytes), { name: 'filename', value: name }])
      assert.equal(status, 201, `${JSON.stringify(name.slice(0, 40))}: ${JSON.stringify(body)}`)
      const asset = await admin.json<{ originalFileName: string }>(`/assets/${body.id}`)
      if (name.length < 1_000) assert.equal(asset.originalFileName, name.replace('\0', ''))
      assert.ok(asset.originalFileName.endsWith('.jpg'))
      const response = await admin.call(`/assets/${body.id}/original`)
      assert.equal(response.status, 200)
      const disposition = response.headers.get('content-disposition')!
      assert.match(disposition, /^inline; filename\*=UTF-8''[A-Za-z0-9%!#$&+.^_`|~-]*$/)
      assert.equal(decodeURIComponent(disposition.split("''")[1]!), asset.originalFileName)
      await response.arrayBuffer()
    }
    const entries = await readdir(server.mediaLocation, { recursive: true })
    assert.ok(entries.every((entry) => !/passwd|evil|quoted|onerror/.test(entry)))
  })

  await t.test('a duplicate that is announced by its checksum is answered before the body', async () => {
    const bytes = photo()
    const { body } = await post(server, fileParts(bytes))
    const sha1 = createHash('sha1').update(bytes)
    const hex = sha1.copy().digest('hex')
    for (const checksum of [hex, sha1.digest('base64')]) {
      // There is no room for a sidecar in it.
      const length = { 'content-length': String(bytes.length + 200) }
      const answer = await halfUpload(server, { 'x-immich-checksum': checksum, ...length })
      assert.match(answer, /^HTTP\/1\.1 200 /)
      assert.match(answer, new RegExp(`"id":"${body.id}","status":"duplicate"`))
    }
  })

  await t.test('so is one with a sidecar, of which no other one is kept', async () => {
    const bytes = photo()
    const sidecar = { name: 'sidecarData', fileName: 'photo.jpg.xmp', value: Buffer.from('<x/>') }
    const { body } = await post(server, [...fileParts(bytes), sidecar])
    const checksum = createHash('sha1').update(bytes).digest('hex')
    // For another sidecar there is room in it, and for no film.
    const length = { 'content-length': String(bytes.length + 5_000) }
    const answer = await halfUpload(server, { 'x-immich-checksum': checksum, ...length })
    assert.match(answer, new RegExp(`"id":"${body.id}","status":"duplicate"`))
  })

  await t.test(
    'a file that arrives otherwise than it was announced is refused, and comes again',
    async () => {
      const bytes = photo()
      const damaged = Buffer.from(bytes)
      damaged[2_000]! ^= 1
      const announced = { 'x-immich-checksum': createHash('sha1').update(bytes).digest('base64') }
      const { status, body } = await post(server, fileParts(damaged), announced)
      assert.equal(status, 400)
      assert.match(body.message, /^assetData: .*SHA-1/)
      const again = await post(server, fileParts(bytes), announced)
      assert.deepEqual([again.status, again.body.status], [201, 'created'])
    },
  )

  await t.test(
    'the same bytes eight times at once are one asset, and all its answers are downloadable',
    async () => {
      const bytes = photo()
      const answers = await Promise.all(Array.from({ length: 8 }, () => post(server, fileParts(bytes))))
      assert.equal(answers.filter(({ status }) => status === 201).length, 1)
      assert.equal(answers.filter(({ status }) => status === 200).length, 7)
      assert.equal(new Set(answers.map(({ body }) => body.id)).size, 1)
      assert.equal(
        await admin.sha256OfOriginal(answers[0]!.body.id),
        createHash('sha256').update(bytes).digest('hex'),
      )
      const objects = await server.pool.query('select from stored_object where sha256 = $1', [
        createHash('sha256').update(bytes).digest(),
      ])
      assert.equal(objects.rowCount, 1)
    },
  )

  await t.test('two users may have the same photo', async () => {
    const bytes = photo()
    const other = await server.newUser('other')
    assert.equal((await post(server, fileParts(bytes))).status, 201)
    assert.equal((await other.upload(bytes, 'x.jpg')).status, 'created')
  })

  await t.test('an upload cut at any byte leaves nothing and can be repeated', async () => {
    const bytes = photo()
    const form = formOf(fileParts(bytes))
    const before = { assets: await countOf(server, 'asset'), objects: await countOf(server, 'stored_object') }
    const cuts = [0, 1, 40, 120, 200, 330, 400, 2_000, form.body.length - 60, form.body.length - 2]
    for (const cut of cuts) await cutUpload(server, form, cut)
    await eventually(async () => {
      assert.equal(await countOf(server, 'asset'), before.assets)
      assert.equal(await countOf(server, 'stored_object'), before.objects)
      assert.deepEqual(await stagedFiles(server), [])
    })
    assert.equal((await post(server, fileParts(bytes))).status, 201)
  })

  await t.test('after a failure of the disk the same upload succeeds', async () => {
    const bytes = photo()
    const files = server.placement.local.backend.localFiles!
    const adopt = files.adopt
    files.adopt = () => Promise.reject(new StorageError('unavailable', 'planned'))
    const failed = await post(server, fileParts(bytes))
    files.adopt = adopt
    assert.ok(failed.status >= 500, String(failed.status))
    const check = await admin.json<{ results: { action: string }[] }>('/assets/bulk-upload-check', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        assets: [{ id: '1', checksum: createHash('sha1').update(bytes).digest('hex') }],
      }),
    })
    assert.equal(check.results[0]!.action, 'accept')
    assert.equal((await post(server, fileParts(bytes))).status, 201)
  })

  await t.test('a full disk is 507 with a reason, and nothing is lost', async () => {
    const bytes = photo()
    const files = server.placement.local.backend.localFiles!
    const adopt = files.adopt
    files.adopt = () => Promise.reject(new StorageError('too-large', 'no room left in /secret/path'))
    const failed = await post(server, fileParts(bytes))
    files.adopt = adopt
    assert.equal(failed.status, 507)
    assert.match(failed.body.message, /no room left where files are kept/)
    assert.deepEqual(await stagedFiles(server), [])
    assert.equal((await post(server, fileParts(bytes))).status, 201)
  })

  await t.test('bulk-upload-check tells what is here, by hex and by base64', async () => {
    const bytes = photo()
    const { body } = await post(server, fileParts(bytes))
    const sha1 = createHash('sha1').update(bytes)
    const answer = await admin.json<{ results: unknown[] }>('/assets/bulk-upload-check', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        assets: [
          { id: 'a', checksum: sha1.copy().digest('hex') },
          { id: 'b', checksum: sha1.digest('base64') },
          { id: 'c', checksum: randomBytes(20).toString('hex') },
          { id: 'd', checksum: 'nonsense' },
        ],
      }),
    })
    const reject = { action: 'reject', reason: 'duplicate', assetId: body.id, isTrashed: false }
    assert.deepEqual(answer.results, [
      { id: 'a', ...reject },
      { id: 'b', ...reject },
      { id: 'c', action: 'accept' },
      { id: 'd', action: 'accept' },
    ])
  })

  await t.test('the quota ends uploads with the words that phones know', async () => {
    const user = await server.newUser('limited', { quotaBytes: 12_000 })
    const upload = (bytes: Buffer) => user.upload(bytes, 'x.jpg')
    await upload(photo())
    await upload(photo())
    await assert.rejects(upload(photo()), /answered 400: \{"message":"Quota has been exceeded!"\}/)
    // Two at once that fit one by one but not together.
    const racer = await server.newUser('racer', { quotaBytes: 8_000 })
    const results = await Promise.allSettled([racer.upload(photo(), 'a.jpg'), racer.upload(photo(), 'b.jpg')])
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  })
})

test('a file over the limit is 413, announced or not', async (t) => {
  const server = await startTestServer(t, { maxUploadBytes: 100_000 })
  const { status, body } = await post(server, fileParts(randomBytes(200_000)))
  assert.equal(status, 413)
  assert.match(body.message, /100000 bytes/)
  assert.deepEqual(await stagedFiles(server), [])
  const announced = await halfUpload(server, { 'content-length': String(10 * 1024 ** 3) })
  assert.match(announced, /^HTTP\/1\.1 413 /)
})

/**
 * Sends headers and a little of the body, then only waits: what is answered was answered without the rest.
 */
async function halfUpload(server: TestServer, headers: Record<string, string>): Promise<string> {
  const { port, hostname } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  const all = {
    host: 'x',
    authorization: `Bearer ${server.admin.token}`,
    'content-type': 'multipart/form-data; boundary=b',
    'content-length': '1000000',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  socket.write(`POST /api/assets HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n--b\r\n`)
  let answer = ''
  for await (const chunk of socket) {
    answer += String(chunk)
    if (answer.includes('\r\n\r\n') && answer.includes('}')) break
  }
  socket.destroy()
  return answer
}

async function cutUpload(server: TestServer, form: ReturnType<typeof formOf>, bytes: number): Promise<void> {
  const { port, hostname } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(
    `POST /api/assets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.admin.token}\r\n` +
      `content-type: ${form.headers['content-type']}\r\ncontent-length: ${form.body.length}\r\n\r\n`,
  )
  await new Promise((resolve) => socket.write(form.body.subarray(0, bytes), resolve))
  await sleep(20)
  socket.destroy()
}
