/**
 * A real S3 service for tests: Ceph's object gateway, in memory, on loopback. `tests/run.ts` may start it
 * once and pass it on in `GLASSINE_TEST_CEPH` (the JSON of `CephAddress`); a test file that runs alone starts
 * its own.
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { freePorts } from '../free-port.ts'

export const TEST_CEPH_VARIABLE = 'GLASSINE_TEST_CEPH'
const SCRIPTS = fileURLToPath(new URL('./ceph/', import.meta.url))
/** The key of its key service, made up; see `start-rgw.sh`. */
export const CEPH_KMS_KEY = 'testkey'
const ACCESS_KEY = 'glassine'
const SECRET_KEY = 'glassine-test-secret'
/** Installing the packages takes half a minute on a good line, starting 1.4 s. */
const START_TIMEOUT_MS = 600_000

export type CephAddress = { endpoint: string; accessKeyId: string; secretAccessKey: string }
export type Ceph = CephAddress & {
  /** Makes a bucket of that name, or of a name of its own; gives the name. */
  createBucket(name?: string, options?: { objectLock?: boolean }): Promise<string>
  stop(): Promise<void>
}

/** Why Ceph cannot run here, or null where it can. In CI that is a failure, elsewhere a loud remark. */
export async function whyNoCeph(): Promise<string | null> {
  if (process.env[TEST_CEPH_VARIABLE] !== undefined) return null
  if (process.platform !== 'linux') return 'Ceph runs on Linux only'
  if (await hasCeph()) return null
  return process.getuid?.() === 0
    ? null
    : 'radosgw, ceph-mon and ceph-osd are not installed, and only root may install them'
}

/**
 * For `test` and `describe` options: `{ skip }` is false where Ceph runs. Where it cannot, says so on
 * standard error and gives the reason; throws in CI.
 */
export async function needsCeph(): Promise<{ skip: string | false }> {
  const reason = await whyNoCeph()
  if (reason === null) return { skip: false }
  if (process.env.CI === 'true') throw new Error(`the Ceph suites cannot run: ${reason}`)
  process.stderr.write(`\n*** NOT TESTED against a real S3 service: ${reason}\n\n`)
  return { skip: reason }
}

/**
 * Uses the run's Ceph where there is one, else starts one in a folder of its own, which `stop` ends and
 * removes.
 */
export async function startCeph(): Promise<Ceph> {
  const passedOn = process.env[TEST_CEPH_VARIABLE]
  if (passedOn !== undefined) {
    const address = JSON.parse(passedOn) as CephAddress
    return { ...address, createBucket: bucketMaker(address), stop: async () => {} }
  }
  const folder = await mkdtemp(join(tmpdir(), 'glassine-ceph-'))
  const port = await freePorts(2)
  const environment = {
    ...process.env,
    RGW_DIR: folder,
    RGW_PORT: String(port),
    RGW_MON_PORT: String(port + 1),
    RGW_STORE: 'memstore',
    RGW_OSD_SIZE: process.env.GLASSINE_TEST_CEPH_SIZE ?? '4G',
    RGW_ACCESS_KEY: ACCESS_KEY,
    RGW_SECRET_KEY: SECRET_KEY,
    RGW_INSTALL: process.getuid?.() === 0 ? '1' : '0',
  }
  const run = (script: string, ...flags: string[]) =>
    promisify(execFile)(join(SCRIPTS, script), flags, { env: environment, timeout: START_TIMEOUT_MS })

  async function stop(): Promise<void> {
    process.off('exit', killDaemons)
    await run('stop-rgw.sh', '--crash', '--wipe')
    await rm(folder, { recursive: true, force: true })
  }
  // The daemons outlive a test process that is killed by its runner's time-out, so its exit ends them.
  function killDaemons(): void {
    execFile(join(SCRIPTS, 'stop-rgw.sh'), ['--crash', '--wipe'], { env: environment }).unref()
  }
  process.on('exit', killDaemons)
  await run('start-rgw.sh')
  const address = {
    endpoint: `http://127.0.0.1:${environment.RGW_PORT}`,
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
  }
  return { ...address, createBucket: bucketMaker(address), stop }
}

function bucketMaker({ endpoint, ...credentials }: CephAddress): Ceph['createBucket'] {
  return async (name = `test-${randomUUID()}`, { objectLock = false } = {}) => {
    const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    try {
      await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }))
    } finally {
      client.destroy()
    }
    return name
  }
}

async function hasCeph(): Promise<boolean> {
  const found = await Promise.all(
    ['radosgw', 'ceph-mon', 'ceph-osd'].map((name) =>
      promisify(execFile)('sh', ['-c', `command -v ${name}`]).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.every(Boolean)
}
