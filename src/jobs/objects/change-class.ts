import { changeClass } from '../../placement/classes/change-class.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function changeClassJob({ placement, announceStorage }: JobParts): JobHandlers['change-class'] {
  return async (payload, { signal }) => {
    await changeClass(placement, payload, signal)
    await announceStorage()
  }
}
