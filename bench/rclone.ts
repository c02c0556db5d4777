import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { installPackages } from '../tests/support/services/apt.ts'
import type { Bucket } from './bucket.ts'
import { type Cost, cpuSecondsOfEndedChildren, watchPeak } from './processes.ts'

const run = promisify(execFile)
const MOUNT_LIMIT_MS = 20_000

/** Installs rclone, and what its mounts need, from Debian's packages where they are missing and it may. */
export async function installRclone(): Promise<void> {
  if (await isInstalled()) return
  if (process.getuid?.() !== 0)
    throw new Error('rclone is not installed, and only root on Debian may install it')
  await installPackages('rclone', 'fuse3')
}

async function isInstalled(): Promise<boolean> {
  try {
    await run('rclone', ['version'])
    await run('fusermount3', ['--version'])
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
      env: environmentFor(bucket),
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

/** Mounts the bucket as people do who want their photos in it as files; ends when `stack` is disposed of. */
export async function rcloneMount(
  stack: AsyncDisposableStack,
  bucket: Bucket,
  folder: string,
): Promise<{ pid: number }> {
  const child = spawn('rclone', ['mount', '--read-only', `bench:${bucket.bucket}`, folder], {
    env: environmentFor(bucket),
    stdio: 'ignore',
  })
  const exited = once(child, 'exit')
  stack.defer(async () => {
    child.kill('SIGTERM') // it unmounts
    await exited
  })
  const deadline = performance.now() + MOUNT_LIMIT_MS
  while (!(await readFile('/proc/mounts', 'utf8')).includes(` ${folder} fuse.rclone `)) {
    if (child.exitCode !== null) throw new Error(`rclone mount ended with ${child.exitCode}: is FUSE there?`)
    if (performance.now() > deadline) throw new Error(`rclone did not mount within ${MOUNT_LIMIT_MS} ms`)
    await sleep(50)
  }
  return { pid: child.pid! }
}

function environmentFor(bucket: Bucket): NodeJS.ProcessEnv {
  return {
    ...process.env,
    AWS_CA_BUNDLE: undefined, // rclone 1.60 dies of one
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_BENCH_TYPE: 's3',
    RCLONE_CONFIG_BENCH_PROVIDER: 'Ceph',
    RCLONE_CONFIG_BENCH_ENDPOINT: bucket.endpoint,
    RCLONE_CONFIG_BENCH_ACCESS_KEY_ID: bucket.accessKeyId,
    RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY: bucket.secretAccessKey,
  }
}
