import { transcodeAsset } from '../library/transcoding.ts'
import { DECODER_ATTEMPTS } from '../queue/job-types.ts'
import type { JobHandlers } from '../queue/worker.ts'
import type { JobParts } from './index.ts'

export function transcodeVideoJob({
  db,
  placement,
  mediaTools,
  announceStorage,
}: JobParts): JobHandlers['transcode-video'] {
  return async (payload, { signal, attempt }) => {
    const isLastAttempt = attempt >= DECODER_ATTEMPTS
    await transcodeAsset({ db, placement, mediaTools }, payload, { signal, isLastAttempt })
    await announceStorage()
  }
}
