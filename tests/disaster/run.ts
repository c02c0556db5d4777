/**
 * `npm run test:disaster -- --photos 5000`: a machine with its originals in Ceph is lost twice, and comes
 * back on an empty one by the steps of docs/backup.md: once with a backup that a fifth of the photos came
 * after (last week's), once with one that knows them all (today's). What the API answers, and every
 * original's bytes, are compared with before. Ends with 1 where anything differs.
 *
 * `--strict`: the strict S3 server instead of Ceph. The figures go to docs/durability.md.
 */
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startStrictS3 } from 'strict-s3'
import { type Client, connectClient } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { runCli } from '../support/run-cli.ts'
import { drained, statusOf } from '../support/server-with-bucket.ts'
import { startCeph } from '../support/services/ceph.ts'
import { type SpawnedServer, spawnServer } from '../support/spawn-server.ts'
import {
  type Answers,
  addPhotos,
  differencesOf,
  findWrongOriginals,
  type Manifest,
  readAnswers,
  untilShown,
} from './library.ts'

const HOUR_MS = 3_600_000
/** Of the photos that last week's backup knows. */
const KNOWN_SHARE = 0.8

const { values } = parseArgs({
  options: { photos: { type: 'string', default: '200' }, strict: { type: 'boolean', default: false } },
})
const photos = Number(values.photos)
if (!Number.isInteger(photos) || photos < 10) throw new Error('--photos: a whole number of at least 10')

type Bucket = { endpoint: string; accessKeyId: string; secretAccessKey: string; close(): Promise<void> }
const BUCKET = 'family'

async function startBucket(): Promise<Bucket> {
  if (values.strict) {
    const credentials = { accessKeyId: 'family', secretAccessKey: 'a secret of the test' }
    const server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: [BUCKET] })
    return { endpoint: server.endpoint, ...credentials, close: () => server.close() }
  }
  const ceph = await startCeph()
  await ceph.createBucket(BUCKET)
  return { ...ceph, close: () => ceph.stop() }
}

const begunAt = Date.now()
const say = (text: string) =>
  console.log(`${((Date.now() - begunAt) / 1000).toFixed(0).padStart(5)} s  ${text}`)

const folder = await mkdtemp(join(tmpdir(), 'glassine-disaster-'))
const dataDir = join(folder, 'data')
const keyFile = join(folder, 'written-down.txt')
const port = await freePort()
const bucket = await startBucket()
const config = `storage:
  s3: { endpoint: "${bucket.endpoint}", bucket: ${BUCKET}, region: us-east-1,
    accessKeyId: ${bucket.accessKeyId}, secretAccessKey: ${bucket.secretAccessKey} }
  catalogue: { everyMinutes: 1 }
  removal: {}
`
const manifest: Manifest = new Map()
let server: SpawnedServer | undefined

async function start(): Promise<Client> {
  server = await spawnServer({ dataDir, config, port })
  return connectClient(server.url)
}

/** A command as somebody types it; prints what it says. */
async function glassine(args: string[], allowed: number[] = [0]): Promise<string> {
  say(`$ npx glassine ${args.join(' ')}`)
  const env = { GLASSINE_DATA: dataDir, GLASSINE_CONFIG: join(folder, `glassine-${port}.yaml`) }
  const { code, stdout, stderr } = await runCli(args, { env })
  console.log((stdout + stderr).replaceAll(/^/gm, '         '))
  if (!allowed.includes(code)) throw new Error(`"glassine ${args.join(' ')}" ended with ${code}`)
  return stdout
}

async function add(client: Client, from: number, to: number): Promise<void> {
  await addPhotos(client, { from, to }, manifest, (done) => {
    if (done % 500 === 0) say(`${done} uploaded`)
  })
  const tookMs = await drained(client, HOUR_MS)
  say(`${to - from} photos are in the bucket, the last ones after ${Math.round(tookMs / 1000)} s`)
  await processed(client)
}

/** Every photo has its thumbnail. */
async function processed(client: Client): Promise<void> {
  await eventually(async () => {
    const open =
      await client.json<Record<string, { jobCounts: { active: number; waiting: number } }>>('/jobs')
    const waiting = Object.entries(open).filter(([, { jobCounts: c }]) => c.active + c.waiting > 0)
    if (waiting.length > 0) throw new Error(`jobs are open: ${JSON.stringify(waiting)}`)
  }, HOUR_MS)
}

/** The machine is lost, and another one comes back. @returns how many differences there are */
async function burn(name: string, before: Answers): Promise<number> {
  await server!.kill9()
  await rm(dataDir, { recursive: true })
  say(`${name}: the data folder is gone`)
  const beganAt = Date.now()
  await glassine(['restore', '--from', 's3', '--key-file', keyFile, '--yes', '--adopt'], [0, 3])
  const restoredMs = Date.now() - beganAt
  const client = await start()
  await drained(client, HOUR_MS)
  await processed(client)
  const dark = await untilShown(client, manifest)
  say(`${name}: ${manifest.size - dark.length} of ${manifest.size} thumbnails are shown`)
  const differences = differencesOf(before, await readAnswers(client, manifest))
  const wrong = await findWrongOriginals(client, manifest)
  const { originals } = await statusOf(client)
  say(
    `${name}: restored in ${Math.round(restoredMs / 1000)} s; ${originals.total.count} of ${manifest.size} photos, ` +
      `${wrong.length} wrong originals, ${originals.atRisk.count} at risk, ${differences.length} differing answers`,
  )
  for (const line of [...wrong, ...dark.map((id) => `${id} has no thumbnail`), ...differences].slice(0, 40))
    console.log(`         ${line}`)
  return wrong.length + dark.length + differences.length
}

let failures = 0
try {
  await mkdir(dataDir)
  const client = await start()
  await add(client, 0, Math.round(photos * KNOWN_SHARE))
  await glassine(['backup', 'now'])
  await copyFile(join(dataDir, 'backup-key.txt'), keyFile)
  await add(client, Math.round(photos * KNOWN_SHARE), photos)
  await glassine(['catalogue', 'now'])
  failures += await burn("last week's backup", await readAnswers(client, manifest))
  const restored = await connectClient(server!.url)
  await glassine(['backup', 'now'])
  failures += await burn("today's backup", await readAnswers(restored, manifest))
} finally {
  await server?.stop().catch((error: Error) => say(`the server could not be stopped: ${error.message}`))
  await bucket.close()
  await rm(folder, { recursive: true, force: true })
}
say(failures === 0 ? `all of ${photos} photos came back twice, and are as before` : `${failures} differences`)
process.exitCode = failures === 0 ? 0 : 1
