/**
 * `npm test`: all suites, or those whose path contains one of the arguments (`npm test queue placement/evict`).
 *
 * Starts the PostgreSQL and the Ceph that they share, runs each file in a process of its own, two at a time, and ends with node's
 * summary and the files that took longest. A file that takes longer than the limit fails.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCeph, TEST_CEPH_VARIABLE, whyNoCeph } from './support/ceph.ts'
import { dropLeftovers, startTestPostgres, TEST_POSTGRES_VARIABLE } from './support/shared-postgres.ts'

const ROOT = join(import.meta.dirname, '..')
const AT_ONCE = Math.max(2, Math.min(4, Math.floor(availableParallelism() / 2)))
/** Of one file and of one test in it. Suites that start real servers, Ceph or a browser take minutes on a small machine. */
const LIMIT_MS = 15 * 60_000

async function findFiles(patterns: string[]): Promise<string[]> {
  const files: string[] = []
  for await (const file of glob('tests/**/*.test.ts', { cwd: ROOT })) {
    if (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))) files.push(file)
  }
  return files.sort()
}

/** Ceph takes half a minute to install and memory to run: only where a file asks for it. */
function needsRealBucket(file: string): boolean {
  return readFileSync(join(ROOT, file), 'utf8').includes('support/ceph.ts')
}

const patterns = process.argv.slice(2).map((pattern) => pattern.replace(/^\.\//, ''))
const files = await findFiles(patterns)
if (files.length === 0) {
  console.error(`No test file's path contains ${patterns.join(' or ')}.`)
  process.exit(1)
}

const postgres = await startTestPostgres()
await dropLeftovers(postgres.url)
const ceph = (await whyNoCeph()) === null && files.some(needsRealBucket) ? await startCeph() : null
const env = {
  // Each file is a process that loads half of src: 0.35 s of CPU instead of 0.9.
  NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
  ...process.env,
  [TEST_POSTGRES_VARIABLE]: postgres.url,
  ...(ceph ? { [TEST_CEPH_VARIABLE]: JSON.stringify(ceph) } : {}),
}

// Ctrl-C reaches the children by itself; this process waits for them and then stops PostgreSQL.
process.on('SIGINT', () => undefined)

const child = spawn(
  process.execPath,
  [
    '--test',
    `--test-concurrency=${AT_ONCE}`,
    `--test-timeout=${LIMIT_MS}`,
    ...['spec', './tests/support/slowest-files.ts'].flatMap((reporter) => [
      `--test-reporter=${reporter}`,
      '--test-reporter-destination=stdout',
    ]),
    ...files,
  ],
  { cwd: ROOT, env, stdio: 'inherit' },
)
process.on('SIGTERM', () => child.kill('SIGTERM'))
const [code] = (await once(child, 'exit')) as [number | null]
await ceph?.stop()
await postgres.stop()
process.exitCode = code ?? 1
