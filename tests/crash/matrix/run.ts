/**
 * `npm run test:crash`: kills at awaited steps of what moves people's files. docs/durability.md says what is
 * proven and how to repeat it.
 *
 *   --all              every case; without it, as many as `--limit` says (20)
 *   --limit N          so many at most
 *   --seed TEXT        decides order, repetition of a step, and how PostgreSQL is killed
 *   --only TEXT        cases whose name contains it (scenario/file:function:n/moment/kill)
 *   --shard I/N        the I-th of N parts, for several machines or processes
 *   --lanes N          cases side by side, each lane with a PostgreSQL of its own
 *   --note-unreached   adds awaited steps that no scenario reaches to unreached.txt
 *   --results FILE     where results are kept; a run with the same file goes on where the last one stopped
 */
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Case } from './cases.ts'
import { openMatrix } from './matrix.ts'
import { countOutcomes, type Result, readResults, saveResult } from './results.ts'
import { addUnreached, countOf, readUnreached, unreachedOf } from './unreached.ts'

const DEFAULT_LIMIT = 20
const PROGRESS_MS = 10_000

const { values: options } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    limit: { type: 'string' },
    seed: { type: 'string', default: 'glassine' },
    only: { type: 'string', default: '' },
    shard: { type: 'string', default: '1/1' },
    lanes: { type: 'string', default: String(Math.max(1, Math.min(4, availableParallelism()))) },
    results: { type: 'string' },
    'note-unreached': { type: 'boolean', default: false },
  },
})
const [shard, shards] = options.shard.split('/').map(Number)
if (!shard || !shards || shard > shards) throw new Error('--shard I/N: I is 1 to N')
const limit = options.limit !== undefined ? Number(options.limit) : options.all ? Infinity : DEFAULT_LIMIT
const lanes = Number(options.lanes)
if (!(limit > 0) || !(lanes > 0)) throw new Error('--limit and --lanes are numbers above 0')
const resultsPath =
  options.results ?? join(tmpdir(), `glassine-crash-${options.seed}-${shard}-of-${shards}.jsonl`)

const interrupted = new AbortController()
process.once('SIGINT', () => {
  interrupted.abort()
  console.log('The cases under way are finished first; Ctrl-C again ends at once.')
})

const begunAt = performance.now()
const matrix = await openMatrix({ lanes })
const unreached = unreachedOf(matrix)
const never = countOf(unreached)
const all = matrix.cases(options.seed)
console.log(
  `${matrix.points.length} awaited steps, ${matrix.points.length - never} of them reached by ${matrix.recorded.size} scenarios: ${all.length} cases.`,
)
if (options['note-unreached']) addUnreached(unreached, readUnreached())

const known = readResults(resultsPath)
const mine = all.filter(({ id }, index) => index % shards === shard - 1 && id.includes(options.only))
const todo = mine.filter(({ id }) => !known.has(id)).slice(0, limit)
if (todo.length < mine.length)
  console.log(`${mine.length - todo.length} of ${mine.length} are left out or done before.`)

let done = 0
let toldAt = 0
const run = await matrix.run(todo, {
  signal: interrupted.signal,
  onResult(result) {
    known.set(result.id, result)
    saveResult(resultsPath, result)
    done += 1
    if (result.outcome === 'failed') console.log(`FAILED ${result.id}\n  ${result.error}`)
    if (performance.now() - toldAt > PROGRESS_MS) tellProgress()
  },
})
await matrix.close()
tellEnd(run, mine)

function tellProgress(): void {
  toldAt = performance.now()
  const counts = countOutcomes(known.values())
  const leftMs = ((todo.length - done) * (performance.now() - begunAt)) / done
  console.log(
    `${done} of ${todo.length}: ${counts.passed} passed, ${counts.failed} failed, ${counts.unreached} not reached; about ${Math.ceil(leftMs / 60_000)} min left`,
  )
}

/** Of all that the file of results knows, and of this run. */
function tellEnd(ofThisRun: readonly Result[], cases: readonly Case[]): void {
  const counts = countOutcomes(cases.flatMap(({ id }) => known.get(id) ?? []))
  const minutes = ((performance.now() - begunAt) / 60_000).toFixed(1)
  console.log(
    [
      `seed ${options.seed}, shard ${options.shard}: ${ofThisRun.length} cases in ${minutes} min`,
      `of ${cases.length} cases: ${counts.passed} passed, ${counts.failed} failed, ${counts.unreached} did not come to their step, ${cases.length - counts.passed - counts.failed - counts.unreached} not run`,
      `awaited steps that no scenario reaches: ${never} of ${matrix.points.length} (listed in tests/crash/matrix/unreached.txt)`,
      `results: ${resultsPath}`,
    ].join('\n'),
  )
  process.exitCode = counts.failed > 0 ? 1 : 0
}
