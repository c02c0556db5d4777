import { readAgain } from '../../library/processing/read-again.ts'
import { DEFAULT_READING_BUDGET } from '../../library/processing/reading-budget.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function readAgainJob({ db, placement, mediaTools, config }: JobParts): JobHandlers['read-again'] {
  const budget = config.reading ?? DEFAULT_READING_BUDGET
  return (payload, { signal }) => readAgain({ db, placement, mediaTools }, payload, { budget, signal })
}
