import { restartTrashTime } from '../../library/assets/trash.ts'
import { restartDeleteDelay } from '../../library/users/deletion.ts'
import { adoptLocation } from '../../placement/takeover/adopt.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function adoptLocationJob({
  db,
  placement,
  announceStorage,
}: JobParts): JobHandlers['adopt-location'] {
  return async (payload, { signal }) => {
    // This ledger may be older than the trash: what somebody has taken out of it meanwhile lies in it again,
    // and so it is with deleted users. This comes before the end, because a kill may follow right after the
    // end.
    await restartTrashTime(db)
    await restartDeleteDelay(db)
    // Storage pages show how far it has come.
    const onProgress = () => void announceStorage()
    await adoptLocation(placement, payload, { signal, onProgress })
    await announceStorage()
  }
}
