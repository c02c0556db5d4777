import { sweepClasses } from '../placement/sweep-classes.ts'
import type { JobHandlers } from '../queue/worker.ts'
import type { JobParts } from './index.ts'

export function sweepClassesJob({ placement, log }: JobParts): JobHandlers['sweep-classes'] {
  return async (_payload, { signal }) => {
    const changes = await sweepClasses(placement, signal)
    if (changes > 0) log.info({ changes }, 'storage classes are changed')
  }
}
