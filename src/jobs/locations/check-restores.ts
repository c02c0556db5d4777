import { checkRestores } from '../../placement/classes/check-restores.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function checkRestoresJob({ placement, announceStorage }: JobParts): JobHandlers['check-restores'] {
  return async (_payload, { signal }) => {
    if ((await checkRestores(placement, signal)) > 0) await announceStorage()
  }
}
