import { processAsset } from '../../library/processing/processing.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function processAssetJob({
  db,
  placement,
  mediaTools,
  config,
  announceStorage,
}: JobParts): JobHandlers['process-asset'] {
  const pictures = config.media
  return async (payload, { signal }) => {
    await processAsset({ db, placement, mediaTools, pictures }, payload, { signal })
    await announceStorage()
  }
}
