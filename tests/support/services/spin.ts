/**
 * The model checker `spin` (Debian's package; it needs gcc) for the models in `tests/formal`. It makes a C
 * program of a model, which then visits every state that the model can reach.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installPackages } from './apt.ts'

const run = promisify(execFile)
const MODEL = join(import.meta.dirname, '../../formal/placement.pml')
/** A verifier that runs out of it ends with an error instead of visiting only a part. */
const MEMORY_LIMIT_MB = 6000

export type Verdict = {
  /** Empty: no violation. Else the moves that lead to it, the fewest possible. */
  trace: string[]
  states: number
  /** How often each move was made, by its name in `words.pml`. */
  taken: Map<string, number>
}
export type Verifier = { explore(switches: string): Promise<Verdict>; remove(): Promise<void> }

/**
 * For `describe` options, as `needsCeph`: installs what is missing where that is possible, else says so on
 * standard error and gives the reason; throws in CI.
 */
export async function needsSpin(): Promise<{ skip: string | false }> {
  if (await hasSpin()) return { skip: false }
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    await installPackages('spin', 'gcc', 'libc6-dev')
    return { skip: false }
  }
  const reason = 'spin and gcc are not installed, and only root may install them'
  if (process.env.CI === 'true') throw new Error(`the formal model cannot be checked: ${reason}`)
  process.stderr.write(`\n*** NOT CHECKED, the formal model of placement: ${reason}\n\n`)
  return { skip: reason }
}

async function hasSpin(): Promise<boolean> {
  try {
    await run('spin', ['-V'])
    await run('gcc', ['--version'])
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/**
 * Builds the verifier of the model with that many objects; about 4 s of CPU. Breadth first, so that traces
 * are shortest.
 */
export async function buildVerifier(objects: 1 | 2): Promise<Verifier> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-spin-'))
  await run('spin', [`-DOBJECTS=${objects}`, '-a', MODEL], { cwd: folder })
  // No partial-order reduction: it knows nothing of the switches, and there is one process only.
  const flags = ['-O2', '-w', '-DSAFETY', '-DNOREDUCE', '-DBFS', `-DMEMLIM=${MEMORY_LIMIT_MB}`]
  await run('gcc', [...flags, '-o', 'pan', 'pan.c'], { cwd: folder })
  return {
    explore: (switches) => explore(join(folder, 'pan'), switches),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Visits all states. In a folder of its own, for the trail has the same name in each. */
async function explore(pan: string, switches: string): Promise<Verdict> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-spin-run-'))
  const env = { ...process.env, SWITCHES: switches }
  try {
    // -E: a state without a next move is no error.
    const { stdout } = await run(pan, ['-E'], { cwd: folder, env, maxBuffer: 64e6 })
    const counts = /State-vector \d+ byte, depth reached \d+, errors: (\d+)\s+(\d+) states, stored/.exec(
      stdout,
    )
    if (!counts) throw new Error(`the verifier did not end as it should: ${stdout}`)
    const trail = (await readdir(folder)).find((name) => name.endsWith('.trail'))
    if ((counts[1] === '0') !== (trail === undefined)) throw new Error(`errors and trail disagree: ${stdout}`)
    const taken = [...stdout.matchAll(/^TAKEN (\d+) (\w+)$/gm)].map(
      (move) => [move[2]!, Number(move[1])] as const,
    )
    return {
      trace: trail === undefined ? [] : await replay(pan, join(folder, trail), env),
      states: Number(counts[2]),
      taken: new Map(taken),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function replay(pan: string, trail: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const { stdout } = await run(pan, ['-r', trail], { env: { ...env, TRACE: '1' }, maxBuffer: 64e6 })
  return stdout.split('\n').filter((line) => /^(original|copy), object \d: /.test(line))
}
