/**
 * `npm run bench` measures everything that takes no more than a minute or two, `npm run bench -- upload
 * proxy` only those. Results: a table on the terminal, and bench/output/latest.json. Exit code 1 when a
 * target is missed or something could not be measured.
 */
import { disposeAll } from './cleanup.ts'
import type { BenchRow } from './report.ts'
import { type BenchFailure, formatTable, isMet, writeJson } from './report.ts'

const OUTPUT = new URL('output/latest.json', import.meta.url).pathname
/** Of all together, so that a hanging process is not waited for for ever. */
const TIME_LIMIT_MS = 15 * 60_000

/** Loaded when their turn comes: what one of them needs does not weigh on the others. */
const BENCHMARKS: Record<string, () => Promise<BenchRow[]>> = {
  upload: async () => (await import('./upload.ts')).benchUpload(),
  direct: async () => (await import('./direct.ts')).benchDirect(),
  offload: async () => (await import('./offload.ts')).benchOffload(),
  proxy: async () => (await import('./proxy.ts')).benchProxy(),
  ranges: async () => (await import('./ranges.ts')).benchRanges(),
  media: async () => (await import('./media.ts')).benchMedia(),
  processing: async () => (await import('./processing.ts')).benchProcessing(),
  start: async () => (await import('./start.ts')).benchStart(),
  idle: async () => (await import('./start.ts')).benchIdle(),
  sync: async () => (await import('./sync.ts')).benchSync(),
  page: async () => (await import('./page.ts')).benchPage(),
  browse: async () => (await import('./browse.ts')).benchBrowse(),
  large: async () => (await import('./large.ts')).benchLarge(),
}
/** Take minutes, and `large` 45 GB of disk: only where they are named. */
const ON_DEMAND = ['browse', 'large']

const named = process.argv.slice(2)
const names = named.length > 0 ? named : Object.keys(BENCHMARKS).filter((name) => !ON_DEMAND.includes(name))
const unknown = names.filter((name) => !(name in BENCHMARKS))
if (unknown.length > 0) {
  console.error(
    `There is no benchmark ${unknown.join(', ')}; there are ${Object.keys(BENCHMARKS).join(', ')}.`,
  )
  process.exit(2)
}

const stopEarly = (reason: string, code: number) => {
  console.error(`\n${reason}; cleaning up`)
  void disposeAll().then(() => process.exit(code))
}
process.once('SIGINT', () => stopEarly('interrupted', 130))
process.once('SIGTERM', () => stopEarly('interrupted', 143))
process.once('uncaughtException', (error) => stopEarly(error.stack ?? error.message, 1))
setTimeout(() => stopEarly(`not done within ${TIME_LIMIT_MS / 60_000} minutes`, 1), TIME_LIMIT_MS).unref()

const rows: BenchRow[] = []
const failures: BenchFailure[] = []
for (const name of names) {
  const beganAt = performance.now()
  process.stderr.write(`${name} ... `)
  try {
    rows.push(...(await BENCHMARKS[name]!()))
  } catch (error) {
    failures.push({ benchmark: name, error: (error as Error).message })
    process.stderr.write(`${(error as Error).stack}\n`)
  }
  process.stderr.write(`${((performance.now() - beganAt) / 1000).toFixed(0)} s\n`)
}

await writeJson(OUTPUT, rows, failures)
console.log(`\n${formatTable(rows)}\n`)
for (const { benchmark, error } of failures) console.log(`✗ ${benchmark} could not be measured: ${error}`)
const missed = rows.filter((row) => isMet(row) === false)
const kept = rows.filter((row) => isMet(row) === true)
console.log(`${kept.length} of ${kept.length + missed.length} targets met; figures in ${OUTPUT}`)
process.exit(missed.length + failures.length > 0 ? 1 : 0)
