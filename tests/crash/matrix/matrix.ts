/** The matrix as a whole: every scenario is recorded, and cases are run in lanes side by side. */
import { tmpdir } from 'node:os'
import { type Case, casesOf, type Hits } from './cases.ts'
import { type Bundle, bundleVictim } from './failpoints/bundle.ts'
import { type Lane, openLane } from './lane.ts'
import type { Result } from './results.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

export type Matrix = {
  points: Bundle['points']
  recorded: ReadonlyMap<Scenario, Hits>
  cases(seed: string): Case[]
  /** Runs until none is left or `signal` is aborted. */
  run(
    cases: readonly Case[],
    options: { signal?: AbortSignal; onResult?: (result: Result) => void },
  ): Promise<Result[]>
  close(): Promise<void>
}

/** `only`: scenarios that are recorded, and from which cases are made. */
export async function openMatrix({
  lanes: laneCount,
  only = () => true,
}: {
  lanes: number
  only?: (scenario: Scenario) => boolean
}): Promise<Matrix> {
  await using cleanup = new AsyncDisposableStack()
  const bundle = await bundleVictim(tmpdir())
  cleanup.defer(() => bundle.remove())
  const lanes = await Promise.all(
    Array.from({ length: laneCount }, async (_, index) => {
      const lane = await openLane(`matrix-${process.pid}-${index}`, bundle.path)
      cleanup.defer(() => lane.close())
      return lane
    }),
  )
  const recorded = new Map<Scenario, Hits>()
  const scenarios = SCENARIOS.filter(only)
  await inLanes(lanes, scenarios, async (lane, scenario) => {
    recorded.set(scenario, await lane.record(scenario))
  })
  // In their own order, whichever lane was first.
  const inOrder = new Map(scenarios.map((scenario) => [scenario, recorded.get(scenario)!]))
  const parts = cleanup.move()
  return {
    points: bundle.points,
    recorded: inOrder,
    cases: (seed) => casesOf(inOrder, bundle.points, seed),
    async run(cases, { signal, onResult }) {
      const results: Result[] = []
      await inLanes(
        lanes,
        cases,
        async (lane, one) => {
          const result = await runCase(lane, one)
          results.push(result)
          onResult?.(result)
        },
        signal,
      )
      return results
    },
    close: () => parts.disposeAsync(),
  }
}

async function runCase(lane: Lane, one: Case): Promise<Result> {
  const begunAt = performance.now()
  const end = (outcome: Result['outcome'], error: string | null): Result => ({
    ...{ id: one.id, outcome, error },
    tookMs: Math.round(performance.now() - begunAt),
  })
  try {
    return end((await lane.run(one)) ? 'passed' : 'unreached', null)
  } catch (error) {
    const { target, postgresKill, isAgainFirst } = one
    const { message } = error as Error
    return end('failed', `hit ${target.hit}, ${postgresKill}, again first: ${isAgainFirst}: ${message}`)
  }
}

async function inLanes<T>(
  lanes: readonly Lane[],
  work: readonly T[],
  use: (lane: Lane, one: T) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const left = work.values()
  await Promise.all(
    lanes.map(async (lane) => {
      for (const one of left) {
        if (signal?.aborted) return
        await use(lane, one)
      }
    }),
  )
}
