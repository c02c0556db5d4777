/**
 * The second opinion on what real S3 services do: OpenStack Swift with its S3 API, on loopback, each test
 * file its own. It differs from Ceph in nearly everything that a service may differ in.
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

const SCRIPTS = fileURLToPath(new URL('./swift/', import.meta.url))
const USER = 'glassine'
const SECRET_KEY = 'glassine-test-secret'
/** Installing the packages takes half a minute on a good line, starting 10 to 20 s. */
const START_TIMEOUT_MS = 600_000
/** Proxy, object, container, account server and memcached listen on ports that follow one another. */
const PORTS = 5

export type Swift = {
  endpoint: string
  accessKeyId: string
  secretAccessKey: string
  /** Makes a bucket of that name, or of a name of its own; gives the name. */
  createBucket(name?: string): Promise<string>
  stop(): Promise<void>
}

/**
 * For `test` and `describe` options: `{ skip }` is false where Swift runs. Where it cannot, says so on
 * standard error and gives the reason; throws in CI.
 */
export async function needsSwift(): Promise<{ skip: string | false }> {
  const reason = await whyNoSwift()
  if (reason === null) return { skip: false }
  if (process.env.CI === 'true') throw new Error(`the Swift suites cannot run: ${reason}`)
  process.stderr.write(`\n*** NOT TESTED against OpenStack Swift: ${reason}\n\n`)
  return { skip: reason }
}

async function whyNoSwift(): Promise<string | null> {
  if (process.platform !== 'linux') return 'Swift runs on Linux only'
  if (process.getuid?.() !== 0) return 'its servers and their installation need root'
  const hasApt = await promisify(execFile)('sh', [
    '-c',
    'command -v swift-proxy-server || command -v apt-get',
  ]).then(
    () => true,
    () => false,
  )
  return hasApt ? null : 'it is not installed, and there is no apt-get to install it with'
}

/**
 * Starts one in a folder of its own, which `stop` ends and removes. `pageKeys`: the most keys that a page of
 * its listings holds; 1,000 where it is absent.
 */
export async function startSwift({ pageKeys }: { pageKeys?: number } = {}): Promise<Swift> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-swift-'))
  const port = await freePorts(PORTS)
  const environment = {
    ...process.env,
    SWIFT_DIR: folder,
    SWIFT_PORT: String(port),
    SWIFT_USER: USER,
    SWIFT_KEY: SECRET_KEY,
    SWIFT_PROXY_WORKERS: '2',
    ...(pageKeys === undefined ? {} : { SWIFT_PAGE_KEYS: String(pageKeys) }),
  }
  const run = (script: string, ...flags: string[]) =>
    promisify(execFile)(join(SCRIPTS, script), flags, { env: environment, timeout: START_TIMEOUT_MS })

  async function stop(): Promise<void> {
    process.off('exit', endServers)
    await run('stop-swift.sh', '--wipe')
    await rm(folder, { recursive: true, force: true })
  }
  // The servers outlive a test process that is killed by its runner's time-out, so its exit ends them.
  function endServers(): void {
    execFile(join(SCRIPTS, 'stop-swift.sh'), ['--wipe'], { env: environment }).unref()
  }
  process.on('exit', endServers)
  await run('start-swift.sh')

  const endpoint = `http://127.0.0.1:${port}`
  const credentials = { accessKeyId: `test:${USER}`, secretAccessKey: SECRET_KEY }
  return {
    endpoint,
    ...credentials,
    async createBucket(name = `test-${randomUUID()}`) {
      const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
      try {
        await client.send(new CreateBucketCommand({ Bucket: name }))
      } finally {
        client.destroy()
      }
      return name
    },
    stop,
  }
}
