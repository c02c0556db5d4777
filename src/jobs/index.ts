import type { Database } from '../database/connect.ts'
import type { Log } from '../log.ts'
import type { MediaTools } from '../media/tools.ts'
import type { Placement } from '../placement/placement.ts'
import type { JobHandlers } from '../queue/worker.ts'
import { createStorageAnnouncer } from './announce-storage.ts'
import { changeClassJob } from './change-class.ts'
import { checkLocationsJob } from './check-locations.ts'
import { checkRestoresJob } from './check-restores.ts'
import { evictReplicaJob } from './evict-replica.ts'
import { processAssetJob } from './process-asset.ts'
import { proveUploadJob } from './prove-upload.ts'
import { purgeObjectJob } from './purge-object.ts'
import { replicateObjectJob } from './replicate-object.ts'
import { restoreReplicaJob } from './restore-replica.ts'
import { sweepClassesJob } from './sweep-classes.ts'
import { sweepLibraryJob } from './sweep-library.ts'
import { sweepPlacementJob } from './sweep-placement.ts'
import { transcodeVideoJob } from './transcode-video.ts'

/** The parts of the app that jobs need. */
export type JobAppParts = {
  config: { media: { thumbnailPx: number; previewPx: number } }
  log: Log
  db: Database
  placement: Placement
  mediaTools: MediaTools
}
export type JobParts = JobAppParts & {
  /** Tells open storage pages that something moved; cheap to call often. */
  announceStorage(): Promise<void>
}

/** Every job and what runs it. A handler throws when its work is not done; the worker alone decides what follows. */
export function jobHandlers(app: JobAppParts): JobHandlers {
  const parts: JobParts = { ...app, announceStorage: createStorageAnnouncer(app.db, app.log) }
  return {
    'process-asset': processAssetJob(parts),
    'transcode-video': transcodeVideoJob(parts),
    'prove-upload': proveUploadJob(parts),
    'replicate-object': replicateObjectJob(parts),
    'evict-replica': evictReplicaJob(parts),
    'purge-object': purgeObjectJob(parts),
    'check-locations': checkLocationsJob(parts),
    'sweep-placement': sweepPlacementJob(parts),
    'sweep-library': sweepLibraryJob(parts),
    'change-class': changeClassJob(parts),
    'restore-replica': restoreReplicaJob(parts),
    'sweep-classes': sweepClassesJob(parts),
    'check-restores': checkRestoresJob(parts),
  }
}
