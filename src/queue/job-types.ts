/**
 * Words: a *job* is a name and a payload in PostgreSQL; to *enqueue* it happens in the caller's transaction;
 * a worker *claims* it; an *attempt* that throws is repeated after a *back-off*; a job whose attempts are
 * used up is *dead*. A *queue* is what people see, count and pause: a group of job names.
 */

/**
 * Every job and its payload. Ids only: the handler reads the rest at run time, so that a late job never acts
 * on old facts.
 */
export type Jobs = {
  'process-asset': { assetId: string }
  'transcode-video': { assetId: string }
  'prove-upload': { uploadId: string }
  'replicate-object': { objectId: string; to: string }
  'evict-replica': { objectId: string; from: string }
  'purge-object': { objectId: string }
  'change-class': { objectId: string; at: string }
  'restore-replica': { objectId: string; at: string }
  'run-campaign': { campaignId: string; worker: number }
  'check-locations': Record<string, never>
  'sweep-placement': Record<string, never>
  'sweep-library': Record<string, never>
  'sweep-classes': Record<string, never>
  'check-restores': Record<string, never>
  'check-listings': Record<string, never>
  'scrub-locations': Record<string, never>
  'extend-locks': Record<string, never>
  'collect-strays': Record<string, never>
  'adopt-location': { locationId: string }
  'read-again': { assetId: string }
  'back-up-database': Record<string, never>
  'check-backups': Record<string, never>
  'sweep-readings': Record<string, never>
  'merge-counts': Record<string, never>
  'name-places': Record<string, never>
  'check-alerts': Record<string, never>
  'deliver-notification': { deliveryId: string }
  'write-catalogue': Record<string, never>
  'make-memories': Record<string, never>
  'adopt-catalogue': Record<string, never>
}
export type JobName = keyof Jobs

export type QueueName = 'processing' | 'videoConversion' | 'replication' | 'eviction' | 'maintenance'

/** While it is paused nobody would notice that another installation uses a location. */
export const NEVER_PAUSED: readonly JobName[] = ['check-locations']

/**
 * `maxAttempts`: the safety of the only copy hangs on replication, eviction and purge, so those never give up
 * (32,767 is the largest smallint; with a back-off of at most 6 h that is 22 years).
 */
export const JOB_RULES: { [Name in JobName]: { queue: QueueName; maxAttempts: number; priority: number } } = {
  'process-asset': { queue: 'processing', maxAttempts: 25, priority: 0 },
  'transcode-video': { queue: 'videoConversion', maxAttempts: 25, priority: 20 },
  // Before other processing: somebody waits to hear that the file is safe.
  'prove-upload': { queue: 'processing', maxAttempts: 32_767, priority: -5 },
  'replicate-object': { queue: 'replication', maxAttempts: 32_767, priority: 5 },
  'evict-replica': { queue: 'eviction', maxAttempts: 32_767, priority: 10 },
  'purge-object': { queue: 'eviction', maxAttempts: 32_767, priority: 10 },
  // The daily sweep asks again for what was given up.
  'change-class': { queue: 'replication', maxAttempts: 5, priority: 15 },
  'restore-replica': { queue: 'replication', maxAttempts: 25, priority: 0 },
  'run-campaign': { queue: 'replication', maxAttempts: 32_767, priority: 15 },
  'check-locations': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'sweep-placement': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'sweep-library': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'sweep-classes': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'check-restores': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'check-listings': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'scrub-locations': { queue: 'maintenance', maxAttempts: 1, priority: 20 },
  'extend-locks': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'collect-strays': { queue: 'maintenance', maxAttempts: 1, priority: 20 },
  // An administrator waits for it, and nothing is written at the location until it has ended.
  'adopt-location': { queue: 'maintenance', maxAttempts: 32_767, priority: -10 },
  'read-again': { queue: 'processing', maxAttempts: 25, priority: 30 },
  'sweep-readings': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'merge-counts': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'name-places': { queue: 'maintenance', maxAttempts: 1, priority: 10 },
  // Nobody asks for the next one before this one is made.
  'back-up-database': { queue: 'maintenance', maxAttempts: 32_767, priority: 5 },
  'check-backups': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'check-alerts': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  // Four days, with the back-off. After a backup, which has the same lane: many messages may wait for a
  // receiver that is away.
  'deliver-notification': { queue: 'maintenance', maxAttempts: 25, priority: 10 },
  'write-catalogue': { queue: 'maintenance', maxAttempts: 1, priority: 0 },
  'make-memories': { queue: 'maintenance', maxAttempts: 1, priority: 10 },
  // An administrator waits for it.
  'adopt-catalogue': { queue: 'maintenance', maxAttempts: 32_767, priority: -10 },
}
