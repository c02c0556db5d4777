/**
 * Locations come and go while a server and a worker run, each a process of its own, on strict S3 buckets and
 * a folder. What is under way goes on.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { stringify } from 'yaml'
import type { ReloadAnswer } from '../../src/queue/worker/reload-requests.ts'
import { type Client, connectClient } from '../support/client.ts'
import { until } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { testDatabase } from '../support/postgres.ts'
import { type SpawnedServer, spawnServer } from '../support/spawn-server.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
/** A held answer is no outage, however busy the machine is. */
const OUTAGE = { answerWithinMs: 120_000 }
const CREDENTIALS = { accessKeyId: 'reload', secretAccessKey: 'reload-secret' }

let folder: string
let database: Awaited<ReturnType<typeof testDatabase>>
let s3: StrictS3
let server: SpawnedServer
let worker: ChildProcess
let workerOutput = ''
let client: Client
let configFile: string

type Storage = Record<string, unknown>
const bucket = (name: string) => ({
  endpoint: s3.endpoint,
  bucket: name,
  region: 'us-east-1',
  ...CREDENTIALS,
})
const text = (storage: Storage, more: object = {}) =>
  stringify({
    database: { url: database.url },
    storage: { removal: { waitSeconds: 0, lateRequestMinutes: 0 }, outage: OUTAGE, ...storage },
    ...more,
  })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-reload-'))
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  await mkdir(join(folder, 'nas'))
  database = await testDatabase()
  s3 = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['first', 'second'],
  })
  // As from another container: the command has a file of its own.
  await writeFile(join(folder, 'command.yaml'), stringify({ database: { url: database.url } }))
  const port = await freePort()
  configFile = join(folder, `glassine-${port}.yaml`)
  server = await spawnServer({ dataDir, port, config: text({ s3: bucket('first') }) })
  worker = spawn(process.execPath, ['src/bin/worker.ts'], {
    cwd: PROJECT,
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      GLASSINE_DATA: dataDir,
      GLASSINE_CONFIG: configFile,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [worker.stdout!, worker.stderr!])
    stream.on('data', (chunk: Buffer) => {
      workerOutput += chunk.toString()
    })
  await until('the worker runs', async () => workerOutput.includes('the worker runs'), 60_000)
  client = await connectClient(server.url)
})
after(async () => {
  const gone = once(worker, 'exit')
  worker.kill('SIGTERM')
  await Promise.all([server.stop(), gone])
  await s3.close()
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

/** A command of the command line, with `--json`. */
function glassine<Answer>(...args: string[]): Promise<{ code: number; answer: Answer; error: string }> {
  const env = {
    ...process.env,
    NODE_TEST_CONTEXT: undefined,
    GLASSINE_DATA: join(folder, 'data'),
    GLASSINE_CONFIG: args[1] === 'reload' ? join(folder, 'command.yaml') : configFile,
  }
  return new Promise((resolve, reject) => {
    execFile(
      join(PROJECT, 'bin/glassine'),
      [...args, '--json'],
      { cwd: folder, env },
      (failure, stdout, stderr) => {
        const code = typeof failure?.code === 'number' ? failure.code : 0
        try {
          const answer = JSON.parse(stdout || 'null') as Answer
          resolve({ code, answer, error: stderr })
        } catch {
          reject(new Error(`glassine ${args.join(' ')}: ${stdout}${stderr}`))
        }
      },
    )
  })
}

async function reload(): Promise<{ code: number; answers: ReloadAnswer[] }> {
  const { code, answer } = await glassine<ReloadAnswer[]>('storage', 'reload')
  return { code, answers: answer }
}

/** Where the originals are, as `nas 2, second 2`. */
async function placesOfOriginals(): Promise<string> {
  const { rows } = await database.pool.query(
    `select location_id as id, count(*)::int as count from replica join stored_object o on o.id = object_id
     where o.kind = 'original' and replica.state = 'verified' group by 1 order by 1`,
  )
  return rows.map(({ id, count }) => `${id} ${count}`).join(', ')
}

/** An upload whose second half waits for `release`. */
function slowUpload(bytes: Buffer): { answered: Promise<Response>; release(): void } {
  const boundary = 'reload-boundary'
  const field = (name: string, value: string) =>
    `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`
  const now = new Date().toISOString()
  const head = `${field('fileCreatedAt', now)}${field('fileModifiedAt', now)}${field('deviceAssetId', 'slow')}${field('deviceId', 'test')}--${boundary}\r\ncontent-disposition: form-data; name="assetData"; filename="slow.jpg"\r\ncontent-type: image/jpeg\r\n\r\n`
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  async function* body() {
    yield Buffer.from(head)
    yield bytes.subarray(0, bytes.length / 2)
    await released
    yield bytes.subarray(bytes.length / 2)
    yield Buffer.from(`\r\n--${boundary}--\r\n`)
  }
  const answered = client.call('/assets', {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: body() as never,
    duplex: 'half',
  } as RequestInit)
  return { answered, release }
}

test('a server and a worker take up, refuse and leave locations, while an upload and a download go on', {
  timeout: 240_000,
}, async () => {
  const bytes = randomBytes(3_000_000)
  const { id } = await client.upload(bytes, 'one.jpg')
  await until('it is in the bucket alone', async () => (await placesOfOriginals()) === 's3 1', 60_000)

  // A mistake, and a file without the only place of a photo: both change nothing.
  await writeFile(configFile, text({ s3: bucket('first'), default: ['s3', 'secnd'] }))
  let { code, answers } = await reload()
  assert.equal(code, 1)
  assert.equal(answers.length, 2, 'the server and the worker')
  for (const { outcome } of answers)
    assert.match(outcome?.problem ?? '', /storage\.default: there is no location/)
  await writeFile(configFile, text({ default: 'second', buckets: { second: bucket('second') } }))
  ;({ code, answers } = await reload())
  for (const { outcome } of answers)
    assert.match(outcome?.problem ?? '', /s3 still holds files, \d+ of which have no verified copy elsewhere/)

  const upload = slowUpload(randomBytes(400_000))
  const go = Promise.withResolvers<void>()
  s3.faults.add({
    match: { operation: 'GetObject', key: /^users\// },
    fault: { kind: 'hold', until: go.promise },
    times: 1,
  })
  const download = client.call(`/assets/${id}/original`)

  const both = {
    s3: bucket('first'),
    buckets: { second: bucket('second') },
    folders: { nas: { path: join(folder, 'nas') } },
  }
  await writeFile(configFile, text({ ...both, default: ['second', 'nas'] }, { sessions: { idleDays: 30 } }))
  process.kill(server.pid, 'SIGHUP')
  await until(
    'the server has heard the signal',
    async () => server.output().includes('the configuration was read again'),
    30_000,
  )
  ;({ code, answers } = await reload())
  assert.equal(code, 3, JSON.stringify(answers))
  assert.deepEqual(
    answers.map(({ outcome }) => outcome?.needsRestart),
    [['sessions.idleDays'], ['sessions.idleDays']],
  )
  assert.deepEqual(
    answers.map(({ outcome }) => outcome?.added.join()).sort(),
    ['', 'second,nas'],
    'the worker had no signal',
  )
  assert.deepEqual(
    answers.flatMap(({ outcome }) => outcome?.troubles),
    [],
  )

  upload.release()
  go.resolve()
  assert.equal((await upload.answered).status, 201)
  assert.equal((await download).status, 200)
  const got = Buffer.from(await (await download).arrayBuffer())
  assert.equal(
    createHash('sha256').update(got).digest('hex'),
    createHash('sha256').update(bytes).digest('hex'),
  )
  await until('all has moved', async () => (await placesOfOriginals()) === 'nas 2, second 2', 120_000)
  await until(
    'nothing is left',
    async () => (await database.pool.query("select from replica where location_id = 's3'")).rows.length === 0,
    60_000,
  )

  const { s3: _, ...rest } = both
  await writeFile(configFile, text({ ...rest, default: ['second', 'nas'] }))
  ;({ code, answers } = await reload())
  assert.equal(code, 0, JSON.stringify(answers))
  assert.deepEqual(
    answers.map(({ outcome }) => outcome?.removed),
    [['s3'], ['s3']],
  )
  assert.equal((await client.upload(randomBytes(1_000), 'two.jpg')).status, 'created')
  await until('it is where it belongs', async () => (await placesOfOriginals()) === 'nas 3, second 3', 60_000)
  assert.equal(await client.sha256OfOriginal(id), createHash('sha256').update(bytes).digest('hex'))
})

test('a location is drained, retired and taken from the configuration, while people upload', {
  timeout: 240_000,
}, async () => {
  const three = {
    s3: bucket('first'),
    buckets: { second: bucket('second') },
    folders: { nas: { path: join(folder, 'nas') } },
    minCopies: { originals: 2, databaseBackups: 2, catalogue: 2 },
  }
  await writeFile(configFile, text({ ...three, default: ['second', 'nas'] }))
  await reload()
  const refused = await glassine('storage', 'drain', 'nas')
  assert.equal(refused.code, 1)
  assert.match(refused.error, /original need 2, and only second would be left/)

  await writeFile(configFile, text({ ...three, default: ['second', 'nas', 's3'] }))
  for (const { outcome } of (await reload()).answers) assert.equal(outcome?.problem, null)
  const begun = await glassine<{ begun: { count: number } }>('storage', 'drain', 'nas')
  assert.ok(begun.answer.begun.count >= 3, begun.error)
  const bytes = randomBytes(2_000)
  const { id } = await client.upload(bytes, 'three.jpg')
  await until('all has left', async () => (await placesOfOriginals()) === 's3 4, second 4', 120_000)
  const left = "select from replica where location_id = 'nas'"
  await until('nothing is left', async () => (await database.pool.query(left)).rows.length === 0, 60_000)
  assert.equal(await client.sha256OfOriginal(id), createHash('sha256').update(bytes).digest('hex'))

  assert.equal((await glassine('storage', 'retire', 'nas')).code, 0)
  const { folders: _, ...rest } = three
  await writeFile(configFile, text({ ...rest, default: ['second', 's3'] }))
  const { code, answers } = await reload()
  assert.equal(code, 0, JSON.stringify(answers))
  const rows = "select id from location where id = 'nas'"
  assert.deepEqual((await database.pool.query(rows)).rows, [])
})
