/**
 * `npm run test:mutations [name ...]`: runs, for each mistake of `mutations.ts` (or for those that are
 * named), the tests that must notice it, and fails unless each of them does. First without any mistake, where
 * all of them must pass: a test that fails anyway notices nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { TEST_POSTGRES_VARIABLE } from '../support/database/shared-postgres.ts'
import type { EndedTest } from './json-lines.ts'
import { type AppliedMutation, MUTATION_VARIABLE, type Mutation, type NamedTest } from './mutation.ts'
import { MUTATIONS } from './mutations.ts'

const ROOT = join(import.meta.dirname, '../..')
const urlOf = (name: string) => new URL(name, import.meta.url).href
const LIMIT_MS = 10 * 60_000
const INCONCLUSIVE = /did not answer within|timed out after/

// The templates of mutated migrations are not those of other runs, so PostgreSQL is one of its own. Set
// before the first use of the temporary folder.
const folder = join(tmpdir(), 'glassine-mutations')
mkdirSync(folder, { recursive: true })
process.env.TMPDIR = folder
const { startTestPostgres } = await import('../support/database/shared-postgres.ts')

const chosen = choose(process.argv.slice(2))
const postgres = await startTestPostgres()
const running = new Set<ChildProcess>()
process.on('SIGTERM', () => stopAll())
process.on('SIGINT', () => stopAll())
let isStopped = false
function stopAll(): void {
  isStopped = true
  for (const child of running) child.kill('SIGTERM')
}

const missed: string[] = []
try {
  const needed = chosen.flatMap(({ failing }) => failing)
  console.log(`${chosen.length} mutations. First, ${countOf(needed)} tests without any of them:`)
  await eachAtOnce([...filesOf(needed)], async ([file, names]) => {
    // Once more for what the load of a small machine has made fail.
    let failed = (await runTests(file, names, null)).filter(({ isPassed }) => !isPassed)
    if (failed.length > 0) {
      const again = failed.map(({ name }) => name)
      failed = (await runTests(file, again, null)).filter(({ isPassed }) => !isPassed)
    }
    for (const { name, error } of failed) missed.push(`without any mutation, ${file}: ${name}: ${error}`)
  })
  if (missed.length === 0) await eachAtOnce(chosen, tryMutation)
} finally {
  await postgres.stop()
}
for (const line of missed) console.log(`MISSED  ${line}`)
console.log(`${missed.length === 0 && !isStopped ? 'All noticed.' : `${missed.length} missed.`}`)
process.exitCode = missed.length === 0 && !isStopped ? 0 : 1

async function tryMutation(mutation: Mutation): Promise<void> {
  const beganAt = performance.now()
  const told: string[] = []
  let isNoticed = true
  for (const [file, names] of filesOf(mutation.failing)) {
    const ended = await runConclusively(file, names, mutation)
    for (const name of names) {
      const failure = ended.find((test) => test.name === name && !test.isPassed && !test.isHook)
      if (ended.some((test) => test.name === name && test.isSkipped)) {
        console.log(`skipped ${mutation.name}: ${name} can't run on this machine`)
        continue
      }
      if (failure) {
        told.push(`          ${file}: ${firstLine(failure.error)}`)
        continue
      }
      isNoticed = false
      const said = ended.map((test) => `${test.name}: ${test.isPassed ? 'passed' : firstLine(test.error)}`)
      missed.push(`${mutation.name}: ${file}: ${name} [${said.join('; ')}]`)
    }
  }
  if (isStopped) return
  const seconds = ((performance.now() - beganAt) / 1_000).toFixed(0)
  console.log([`${isNoticed ? 'noticed' : 'MISSED '} ${mutation.name} (${seconds} s)`, ...told].join('\n'))
}

/**
 * A program that did not start in time, on a small machine, has noticed nothing: such a run is made again.
 */
async function runConclusively(
  file: string,
  names: readonly string[],
  mutation: Mutation,
): Promise<EndedTest[]> {
  let ended: EndedTest[] = []
  for (let tries = 0; tries < 3; tries += 1) {
    ended = await runTests(file, names, mutation)
    if (!ended.some(({ error }) => INCONCLUSIVE.test(error))) return ended
  }
  return ended.map((test) => ({ ...test, isHook: test.isHook || INCONCLUSIVE.test(test.error) }))
}

/** What ended of the named tests, in a process of its own; suites that hold none of them are passed over. */
async function runTests(
  file: string,
  names: readonly string[],
  mutation: Mutation | null,
): Promise<EndedTest[]> {
  if (isStopped) return []
  const applied: AppliedMutation | null = mutation && { file: mutation.file, changes: mutation.changes }
  const patterns = names.map((name) => `--test-name-pattern=/${RegExp.escape(name)}$/`)
  const child = spawn(
    process.execPath,
    [
      '--test',
      `--test-reporter=${urlOf('json-lines.ts')}`,
      '--test-isolation=none',
      `--test-timeout=${LIMIT_MS}`,
      ...patterns,
      file,
    ],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        [TEST_POSTGRES_VARIABLE]: postgres.url,
        NODE_OPTIONS: `--import=${urlOf('hook.ts')}`,
        ...(applied && { [MUTATION_VARIABLE]: JSON.stringify(applied) }),
      },
    },
  )
  running.add(child)
  const [output] = await Promise.all([text(child.stdout!), once(child, 'exit')])
  running.delete(child)
  const lines = output.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as EndedTest).filter(({ name }) => names.includes(name))
}

function choose(names: readonly string[]): Mutation[] {
  const unknown = names.filter((name) => !MUTATIONS.some((one) => one.name === name))
  if (unknown.length > 0) {
    console.error(`No mutation is named ${unknown.join(' or ')}. There are:`)
    console.error(MUTATIONS.map(({ name }) => `  ${name}`).join('\n'))
    process.exit(2)
  }
  return MUTATIONS.filter(({ name }) => names.length === 0 || names.includes(name))
}

function filesOf(tests: readonly NamedTest[]): Map<string, string[]> {
  const files = new Map<string, string[]>()
  for (const [file, named] of Map.groupBy(tests, (one) => one.file))
    files.set(file, [...new Set(named.map(({ name }) => name))])
  return files
}

function countOf(tests: readonly NamedTest[]): number {
  return [...filesOf(tests).values()].reduce((sum, names) => sum + names.length, 0)
}

async function eachAtOnce<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values()
  const work = async () => {
    for (const item of waiting) await act(item)
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
}

function firstLine(error: string): string {
  return error.split('\n')[0]!.slice(0, 160)
}
