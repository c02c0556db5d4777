/** Which cases there are, in which order, and what the seed decides about each of them. */
import { createHash } from 'node:crypto'
import type { Failpoint } from './failpoints/instrument.ts'
import type { Moment, Target } from './failpoints/runtime.ts'
import type { PostgresKill } from './postgres.ts'
import type { Scenario } from './scenario.ts'

export type Case = {
  /** `scenario/point/moment/kill`. */
  id: string
  scenario: Scenario
  target: Target
  /** By the seed, where PostgreSQL is killed: one in four is the whole server. */
  postgresKill: PostgresKill
  /** By the seed: the client comes back before anything else is done. */
  isAgainFirst: boolean
}
/** How often each step was begun in a run of the scenario without a kill. */
export type Hits = Record<string, number>

const MOMENTS: readonly Moment[] = ['before', 'after']
const KILLS = ['process', 'postgres'] as const

/**
 * Every step that a scenario reaches, at both moments, with both kills. First come those of one scenario for
 * each step, chosen by the seed, so that a run that is cut short has been at every step.
 */
export function casesOf(
  recorded: ReadonlyMap<Scenario, Hits>,
  points: readonly Failpoint[],
  seed: string,
): Case[] {
  const known = new Set(points.map(({ id }) => id))
  const first = new Map<string, { scenario: Scenario; rank: number }>()
  for (const [scenario, hits] of recorded) {
    for (const point of stepsIn(hits, known)) {
      const rank = numberOf(seed, `${point} in ${scenario.name}`)
      if (rank < (first.get(point)?.rank ?? Number.POSITIVE_INFINITY)) first.set(point, { scenario, rank })
    }
  }
  const ranked: { one: Case; rank: number }[] = []
  for (const [scenario, hits] of recorded) {
    for (const point of stepsIn(hits, known)) {
      for (const moment of MOMENTS) {
        for (const kill of KILLS) {
          const id = `${scenario.name}/${point}/${moment}/${kill}`
          const random = numberOf(seed, id)
          const target = { point, moment, kill, hit: 1 + (random % hits[point]!) }
          const turn = first.get(point)!.scenario === scenario ? 0 : 2
          ranked.push({
            one: {
              ...{ id, scenario, target },
              postgresKill: random % 4 === 0 ? 'postmaster' : 'backend',
              isAgainFirst: (random >> 3) % 2 === 0,
            },
            rank: (turn + (kill === 'process' ? 0 : 1)) * 2 ** 32 + random,
          })
        }
      }
    }
  }
  return ranked.toSorted((a, b) => a.rank - b.rank).map(({ one }) => one)
}

/** The steps themselves, without the moments after them. */
function stepsIn(hits: Hits, known: ReadonlySet<string>): string[] {
  return Object.keys(hits).filter((name) => known.has(name))
}

function numberOf(seed: string, what: string): number {
  return createHash('sha256').update(`${seed} ${what}`).digest().readUInt32BE()
}
