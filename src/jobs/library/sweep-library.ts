import { sweepLibrary } from '../../library/server/sweep.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function sweepLibraryJob({ db, placement, log }: JobParts): JobHandlers['sweep-library'] {
  return async () => {
    await sweepLibrary({ db, placement, log })
  }
}
