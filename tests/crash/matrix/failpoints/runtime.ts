/**
 * What the inserted calls do in a process: count how often a step is reached, and at the one that is asked
 * for end this process by SIGKILL, or have the parent end PostgreSQL.
 */
import { readSync, writeFileSync, writeSync } from 'node:fs'

/** The global that the inserted calls use. */
export const RUNTIME = '__failpoint'

export type Moment = 'before' | 'after'
/** `kill`: whom. `hit`: 1 is the first time that the step is reached after `arm`. */
export type Target = { point: string; moment: Moment; hit: number; kill: 'process' | 'postgres' }

/** Over this socket the parent is asked to end PostgreSQL, and answers when that is done. */
const PARENT_FD = 3

const hits = new Map<string, number>()
let target: Target | null = null
let isArmed = false

export const failpoints = {
  before(id: string): void {
    reach(id, 'before')
  },
  after<T>(id: string, value: T): T {
    reach(id, 'after')
    return value
  },
  /** Of `await using`: the step is that it is disposed of. */
  disposal<T extends AsyncDisposable>(id: string, value: T): T {
    const dispose = value[Symbol.asyncDispose].bind(value)
    value[Symbol.asyncDispose] = async () => {
      reach(id, 'before')
      await dispose()
      reach(id, 'after')
    }
    return value
  },
  /** From now on steps are counted. */
  arm(wanted: Target | null): void {
    target = wanted
    isArmed = true
    hits.clear()
  },
  disarm(): void {
    isArmed = false
  },
  /** How often each step was begun. */
  saveHits(path: string): void {
    writeFileSync(path, JSON.stringify(Object.fromEntries(hits)))
  },
}

function reach(id: string, moment: Moment): void {
  if (!isArmed) return
  const name = moment === 'before' ? id : `${id}:after`
  const count = (hits.get(name) ?? 0) + 1
  hits.set(name, count)
  if (target === null || target.point !== id || target.moment !== moment || target.hit !== count) return
  isArmed = false
  if (target.kill === 'process') {
    process.kill(process.pid, 'SIGKILL')
    // The signal may take a moment, in which no other line may run.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
  writeSync(PARENT_FD, 'k')
  readSync(PARENT_FD, Buffer.alloc(1))
}
