import { transcodeAsset } from '../../library/processing/transcoding.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function transcodeVideoJob({
  db,
  placement,
  mediaTools,
  announceStorage,
}: JobParts): JobHandlers['transcode-video'] {
  return async (payload, { signal }) => {
    await transcodeAsset({ db, placement, mediaTools }, payload, { signal })
    await announceStorage()
  }
}
