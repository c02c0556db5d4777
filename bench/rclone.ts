import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import type { Bucket } from './bucket.ts'
import { type Cost, cpuSecondsOfEndedChildren, watchPeak } from './processes.ts'

const run = promisify(execFile)
const INSTALL_LIMIT_MS = 300_000

/** Installs rclone from Debian's packages where it is missing and it may. */
export async function installRclone(): Promise<void> {
  if (await isInstalled()) return
  if (process.getuid?.() !== 0)
    throw new Error('rclone is not installed, and only root on Debian may install it')
  const apt = (...words: string[]) =>
    run('apt-get', words, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: INSTALL_LIMIT_MS,
      maxBuffer: 64e6,
    })
  await apt('update')
  await apt('install', '--yes', '--no-install-recommends', 'rclone')
}

async function isInstalled(): Promise<boolean> {
  try {
    await run('rclone', ['version'])
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** `rclone copy` of a folder into the bucket: its wall time, its own CPU-seconds and its peak memory. */
export async function rcloneCopy(
  bucket: Bucket,
  folder: string,
  options: { prefix: string; transfers: number },
): Promise<Cost<void>> {
  const before = await cpuSecondsOfEndedChildren()
  const beganAt = performance.now()
  const child = spawn(
    'rclone',
    ['copy', '--transfers', String(options.transfers), folder, `bench:${bucket.bucket}/${options.prefix}`],
    {
      env: {
        ...process.env,
        AWS_CA_BUNDLE: undefined, // rclone 1.60 dies of one
        RCLONE_CONFIG: '/dev/null',
        RCLONE_CONFIG_BENCH_TYPE: 's3',
        RCLONE_CONFIG_BENCH_PROVIDER: 'Ceph',
        RCLONE_CONFIG_BENCH_ENDPOINT: bucket.endpoint,
        RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: bucket.accessKeyId,
        RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: bucket.secretAccessKey,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let complaint = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString()
  })
  const exited = once(child, 'close') as Promise<[number | null]>
  const peak = watchPeak(child.pid!)
  const [code] = await exited
  const seconds = (performance.now() - beganAt) / 1000
  const peakRssMb = peak.stop()
  if (code !== 0) throw new Error(`rclone ended with ${code}: ${complaint}`)
  return { result: undefined, seconds, cpuSeconds: (await cpuSecondsOfEndedChildren()) - before, peakRssMb }
}
