/**
 * `npm test`: all suites, or those whose path contains one of the arguments (`npm test queue
 * placement/lifecycle`).
 * `npm test -- --changed`: those of what differs from the merge base with `main`, or with the ref that
 * follows.
 *
 * Starts the PostgreSQL and the Ceph that they share, runs the files in a few processes at a time, those of a
 * folder together where nothing forbids it, and ends with node's summary and the files that took longest,
 * with how much of that was waiting. A process that takes longer than the limit fails.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { glob, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { pathToFileURL } from 'node:url'
import { suitesOf } from './changed-suites.ts'
import { type FileGroup, groupFiles } from './file-groups.ts'
import { longestFirst } from './file-order.ts'
import {
  dropLeftovers,
  startTestPostgres,
  TEST_POSTGRES_VARIABLE,
} from './support/database/shared-postgres.ts'
import { FILE_TIMES_VARIABLE } from './support/runner/file-times.ts'
import { slowestFiles } from './support/runner/slowest-files.ts'
import { startCeph, TEST_CEPH_VARIABLE, whyNoCeph } from './support/services/ceph.ts'

const ROOT = join(import.meta.dirname, '..')
/**
 * Two for each processor, since half of a file's time is waiting (3,550 CPU-s in 3,277 s on two cores, with
 * three at a time); each may hold a server and a browser in memory.
 */
const AT_ONCE = Math.min(8, 2 * availableParallelism())
/**
 * Of one process and of one test in it. Suites that start real servers, Ceph or a browser take minutes on a
 * small machine.
 */
const LIMIT_MS = 15 * 60_000
/**
 * Left alone, V8 marks its whole heap after each 64 MB of bytes outside of it (buffers), and 25 times for six
 * photos of 5 MB: a quarter of the CPU of files with large bodies. So those bytes count as the heap does, and
 * the heap may reach this before the first marking.
 */
const HEAP = ['--external-memory-accounted-in-global-limit', '--initial-heap-size=512']
const PRELOADED = ['file-times.ts', 'untracked-promises.ts'].map(
  (name) => `--import=${new URL(`support/runner/${name}`, import.meta.url)}`,
)

async function findFiles(patterns: string[]): Promise<string[]> {
  const files: string[] = []
  for await (const file of glob('{tests,packages/*/tests}/**/*.test.ts', { cwd: ROOT })) {
    if (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))) files.push(file)
  }
  return files.sort()
}

const sourceOf = (file: string) => readFileSync(join(ROOT, file), 'utf8')

/** Ceph takes half a minute to install and memory to run: only where a file asks for it. */
const needsRealBucket = (file: string) => sourceOf(file).includes('support/services/ceph.ts')

/** The path of what runs the files of a group: of a single one itself, else of a module that imports them. */
async function entryOf({ name, files }: FileGroup, folder: string): Promise<string> {
  const paths = files.map((file) => join(ROOT, file))
  if (paths.length === 1) return paths[0]!
  const entry = join(folder, `${name.replaceAll(/[/ ]/g, '-')}.test.mjs`)
  await writeFile(entry, paths.map((path) => `import ${JSON.stringify(pathToFileURL(path))}\n`).join(''))
  return entry
}

/** What differs from the merge base with `ref`: committed, in the working tree, and new. */
function changedFiles(ref: string): string[] {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).split('\0').filter(Boolean)
  return [
    ...git('diff', '--name-only', '--no-renames', '-z', '--merge-base', ref),
    ...git('ls-files', '--others', '--exclude-standard', '-z'),
  ]
}

async function findChanged(ref = 'main'): Promise<string[]> {
  const { suites, allBecauseOf } = suitesOf(changedFiles(ref), await findFiles([]))
  if (allBecauseOf !== null) console.log(`All suites, because ${allBecauseOf} differs from ${ref}.`)
  else console.log([`Suites of what differs from ${ref}: ${suites.length}`, ...suites].join('\n  '))
  if (suites.length === 0) process.exit(0)
  return suites
}

const args = process.argv.slice(2)
const patterns = args.map((pattern) => pattern.replace(/^\.\//, ''))
const files = await (args[0] === '--changed' ? findChanged(args[1]) : findFiles(patterns))
if (files.length === 0) {
  console.error(`No test file's path contains ${patterns.join(' or ')}.`)
  process.exit(1)
}

const postgres = await startTestPostgres()
await dropLeftovers(postgres.url)
const ceph = (await whyNoCeph()) === null && files.some(needsRealBucket) ? await startCeph() : null
const runFolder = await mkdtemp(join(tmpdir(), 'glassine-run-'))
// For the files, which inherit it, and for the reporter in this process.
Object.assign(process.env, {
  // Each process loads half of src: 0.35 s of CPU instead of 0.9.
  NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(tmpdir(), 'node-compile-cache'),
  [FILE_TIMES_VARIABLE]: join(runFolder, 'times.jsonl'),
  [TEST_POSTGRES_VARIABLE]: postgres.url,
  ...(ceph ? { [TEST_CEPH_VARIABLE]: JSON.stringify(ceph) } : {}),
})

// Ctrl-C reaches the children by itself; this process waits for them and then stops PostgreSQL.
process.on('SIGINT', () => undefined)
const terminated = new AbortController()
process.on('SIGTERM', () => terminated.abort())

const groups = new Map<string, FileGroup>()
for (const group of groupFiles(longestFirst(files), sourceOf))
  groups.set(await entryOf(group, runFolder), group)

// Not by `node --test`, which begins its files in the order of the alphabet.
const events = run({
  cwd: ROOT,
  files: [...groups.keys()],
  concurrency: AT_ONCE,
  timeout: LIMIT_MS,
  signal: terminated.signal,
  execArgv: [...PRELOADED, ...HEAP],
})
let isSuccess = false
events.on('test:summary', ({ file, success }) => {
  if (file === undefined) isSuccess = success
})
const reports = [new spec(), slowestFiles(groups)].map((reporter) => events.compose(reporter))
for (const report of reports) report.pipe(process.stdout, { end: false })
await Promise.all(reports.map((report) => finished(report)))
await rm(runFolder, { recursive: true, force: true })
await ceph?.stop()
await postgres.stop()
process.exitCode = isSuccess ? 0 : 1
