import { mergeCounts } from '../../library/assets/asset-counts.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function mergeCountsJob({ db, log }: JobParts): JobHandlers['merge-counts'] {
  return async () => {
    const users = await mergeCounts(db)
    if (users > 0) log.debug({ users }, 'counts of assets were merged')
  }
}
