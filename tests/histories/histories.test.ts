/**
 * Random histories of the whole engine, with faults of its buckets. `npm run test:histories -- --seed 7` runs
 * one of them again, `--count 50` so many from there on.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHistory } from './history.ts'

const FIRST = Number(process.env.HISTORY_SEED ?? 1)
const COUNT = Number(process.env.HISTORY_COUNT ?? 3)
/** What a history without it would not be about. */
const NEEDED = ['uploads', 'reads', 'spoiled copies']

test('whatever two buckets do wrong, nothing acknowledged is lost, and all is well once they stop', {
  timeout: 3_600_000,
}, async () => {
  const totals: Record<string, number> = {}
  const failures: Error[] = []
  for (let seed = FIRST; seed < FIRST + COUNT; seed += 1) {
    const beganAt = performance.now()
    try {
      const { counts } = await runHistory(seed)
      for (const [what, times] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + times
      console.log(`seed ${seed}: well after ${((performance.now() - beganAt) / 1_000).toFixed(1)} s`)
    } catch (error) {
      console.log(`seed ${seed}: FAILED; again: npm run test:histories -- --seed ${seed}`)
      failures.push(error as Error)
    }
  }
  console.log(JSON.stringify(totals))
  assert.deepEqual(
    failures.map(({ message }) => message),
    [],
  )
  for (const what of NEEDED) assert.ok((totals[what] ?? 0) > 0, `no ${what} in ${COUNT} histories`)
})
