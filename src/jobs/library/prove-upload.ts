import { proveUpload } from '../../library/direct-uploads/prove.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function proveUploadJob({
  db,
  placement,
  mediaTools,
  config,
  log,
  announceStorage,
}: JobParts): JobHandlers['prove-upload'] {
  return async (payload, { signal }) => {
    await proveUpload({ db, placement, mediaTools, pictures: config.media, log }, payload, signal)
    await announceStorage()
  }
}
