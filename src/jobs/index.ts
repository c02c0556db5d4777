import type { JobHandlers } from '../queue/worker/worker.ts'
import { createStorageAnnouncer } from './announce-storage.ts'
import { adoptCatalogueJob } from './library/adopt-catalogue.ts'
import { checkAlertsJob } from './library/check-alerts.ts'
import { deliverNotificationJob } from './library/deliver-notification.ts'
import { makeMemoriesJob } from './library/make-memories.ts'
import { mergeCountsJob } from './library/merge-counts.ts'
import { namePlacesJob } from './library/name-places.ts'
import { processAssetJob } from './library/process-asset.ts'
import { proveUploadJob } from './library/prove-upload.ts'
import { readAgainJob } from './library/read-again.ts'
import { sweepLibraryJob } from './library/sweep-library.ts'
import { sweepReadingsJob } from './library/sweep-readings.ts'
import { transcodeVideoJob } from './library/transcode-video.ts'
import { writeCatalogueJob } from './library/write-catalogue.ts'
import { adoptLocationJob } from './locations/adopt-location.ts'
import { backUpDatabaseJob } from './locations/back-up-database.ts'
import { checkBackupsJob } from './locations/check-backups.ts'
import { checkListingsJob } from './locations/check-listings.ts'
import { checkLocationsJob } from './locations/check-locations.ts'
import { checkRestoresJob } from './locations/check-restores.ts'
import { collectStraysJob } from './locations/collect-strays.ts'
import { extendLocksJob } from './locations/extend-locks.ts'
import { runCampaignJob } from './locations/run-campaign.ts'
import { scrubLocationsJob } from './locations/scrub-locations.ts'
import { sweepClassesJob } from './locations/sweep-classes.ts'
import { sweepPlacementJob } from './locations/sweep-placement.ts'
import { changeClassJob } from './objects/change-class.ts'
import { evictReplicaJob } from './objects/evict-replica.ts'
import { purgeObjectJob } from './objects/purge-object.ts'
import { replicateObjectJob } from './objects/replicate-object.ts'
import { restoreReplicaJob } from './objects/restore-replica.ts'
import type { JobAppParts, JobParts } from './parts.ts'

/**
 * Every job and what runs it. A handler throws when its work is not done; the worker alone decides what
 * follows. `announcer`: absent, one that nobody closes, whose last word comes up to a second later.
 */
export function jobHandlers(
  app: JobAppParts,
  announcer = createStorageAnnouncer(app.db, app.log),
): JobHandlers {
  const parts: JobParts = { ...app, announceStorage: announcer.announce }
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
    'run-campaign': runCampaignJob(parts),
    'sweep-classes': sweepClassesJob(parts),
    'check-restores': checkRestoresJob(parts),
    'check-listings': checkListingsJob(parts),
    'scrub-locations': scrubLocationsJob(parts),
    'extend-locks': extendLocksJob(parts),
    'collect-strays': collectStraysJob(parts),
    'adopt-location': adoptLocationJob(parts),
    'read-again': readAgainJob(parts),
    'sweep-readings': sweepReadingsJob(parts),
    'merge-counts': mergeCountsJob(parts),
    'name-places': namePlacesJob(parts),
    'back-up-database': backUpDatabaseJob(parts),
    'check-backups': checkBackupsJob(parts),
    'check-alerts': checkAlertsJob(parts),
    'deliver-notification': deliverNotificationJob(parts),
    'adopt-catalogue': adoptCatalogueJob(parts),
    'make-memories': makeMemoriesJob(parts),
    'write-catalogue': writeCatalogueJob(parts),
  }
}
