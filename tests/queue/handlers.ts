import type { JobHandlers } from '../../src/queue/worker/worker.ts'

/** Handlers for a test: the given ones, and for every other job one that fails, since nobody enqueued it. */
export function testHandlers(given: Partial<JobHandlers>): JobHandlers {
  const unexpected = async () => {
    throw new Error('no such job was expected')
  }
  return {
    'process-asset': unexpected,
    'transcode-video': unexpected,
    'prove-upload': unexpected,
    'replicate-object': unexpected,
    'evict-replica': unexpected,
    'purge-object': unexpected,
    'check-locations': unexpected,
    'sweep-placement': unexpected,
    'sweep-library': unexpected,
    'change-class': unexpected,
    'run-campaign': unexpected,
    'restore-replica': unexpected,
    'sweep-classes': unexpected,
    'check-restores': unexpected,
    'check-listings': unexpected,
    'scrub-locations': unexpected,
    'extend-locks': unexpected,
    'collect-strays': unexpected,
    'adopt-location': unexpected,
    'read-again': unexpected,
    'sweep-readings': unexpected,
    'merge-counts': unexpected,
    'name-places': unexpected,
    'back-up-database': unexpected,
    'check-backups': unexpected,
    'check-alerts': unexpected,
    'make-memories': unexpected,
    'deliver-notification': unexpected,
    'write-catalogue': unexpected,
    'adopt-catalogue': unexpected,
    ...given,
  }
}
