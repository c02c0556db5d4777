import { isClockInDoubt } from '../../database/clock.ts'
import { sweepClasses } from '../../placement/classes/sweep-classes.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function sweepClassesJob({ placement, log }: JobParts): JobHandlers['sweep-classes'] {
  return async (_payload, { signal }) => {
    if (await isClockInDoubt(placement.db)) {
      log.info(
        {},
        'the clock jumped, or nothing ran for a day: storage classes go by age, and wait for two days',
      )
      return
    }
    const changes = await sweepClasses(placement, signal)
    if (changes > 0) log.info({ changes }, 'storage classes are changed')
  }
}
