import { enqueueLostPictures } from '../../library/processing/lost-pictures.ts'
import { enqueueOutdated } from '../../library/processing/outdated-readings.ts'
import { DEFAULT_READING_BUDGET } from '../../library/processing/reading-budget.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function sweepReadingsJob({ db, placement, config, log }: JobParts): JobHandlers['sweep-readings'] {
  const budget = config.reading ?? DEFAULT_READING_BUDGET
  return async () => {
    const pictures = await enqueueLostPictures({ db, placement }, budget)
    if (pictures > 0) log.info({ assets: pictures }, 'lost pictures are made again')
    const { enqueued, restores } = await enqueueOutdated({ db, placement }, budget)
    if (enqueued > 0) log.debug({ assets: enqueued }, 'metadata is read again')
    if (restores > 0) log.info({ restores }, 'archived originals are restored, to read their metadata again')
  }
}
