/** The emptying of a location in sentences, for the page and the command line. */
import type { DrainStatus } from '../../../placement/reports/drain-status.ts'
import { duration } from '../../words.ts'

/** What of it is told; the page has the same from the API. */
export type DrainTold = Pick<
  DrainStatus,
  'begun' | 'left' | 'bytesPerSecond' | 'secondsLeft' | 'waitingKinds' | 'failures' | 'retiredAt'
>
export type DrainUnits = { bytes(count: number): string; files(count: number): string }

/** The first says how far it is, the others what stands in the way. */
export function drainSentences(drain: DrainTold, { bytes, files }: DrainUnits): string[] {
  const { begun, left, bytesPerSecond, secondsLeft, waitingKinds, failures, retiredAt } = drain
  if (retiredAt !== null)
    return ['It is retired: nothing comes here any more. Its description can go from the configuration.']
  if (left.count === 0) return ['It is empty, and can be retired.']
  const rate = bytesPerSecond === null ? '' : ` at ${bytes(bytesPerSecond)}/s`
  const time = secondsLeft === null ? '' : `, about ${duration(secondsLeft)} to go`
  return [
    `It is being emptied${rate}: ${files(left.count)} (${bytes(left.bytes)}) left of ${files(begun.count)} (${bytes(begun.bytes)})${time}.`,
    ...(waitingKinds.length > 0
      ? [`Too few other locations are configured for: ${waitingKinds.join(', ')}. These files stay.`]
      : []),
    ...failures.map(({ job, error, count }) => {
      const what =
        job === 'evict-replica' ? 'could not leave yet' : 'could not be copied to another location yet'
      return `${files(count)} ${what}: ${error}`
    }),
  ]
}
