import { processAsset } from '../library/processing.ts'
import { DECODER_ATTEMPTS } from '../queue/job-types.ts'
import type { JobHandlers } from '../queue/worker.ts'
import type { JobParts } from './index.ts'

export function processAssetJob({
  db,
  placement,
  mediaTools,
  config,
  announceStorage,
}: JobParts): JobHandlers['process-asset'] {
  const pictures = config.media
  return async (payload, { signal, attempt }) => {
    const isLastAttempt = attempt >= DECODER_ATTEMPTS
    await processAsset({ db, placement, mediaTools, pictures }, payload, { isLastAttempt, signal })
    await announceStorage()
  }
}
