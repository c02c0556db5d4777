/**
 * What each queue is called: the same for the page, the command line and the API. Data alone, so that the
 * page can take it in.
 */
import type { QueueName } from './job-types.ts'

type Naming = {
  /** For people, who also hear what it does. */
  label: string
  what: string
  /** Under which of Immich's names it is listed; its other names are twins. */
  immich: string
}

/** In the order in which people see them. */
export const QUEUES = {
  processing: {
    label: 'Reading and previews',
    what: 'Dates, places, thumbnails and previews of new originals',
    immich: 'metadataExtraction',
  },
  videoConversion: {
    label: 'Video conversion',
    what: 'Versions that play in a browser',
    immich: 'videoConversion',
  },
  replication: {
    label: 'Copying',
    what: 'Originals to where they should be, with proof',
    immich: 'migration',
  },
  eviction: {
    label: 'Freeing local space',
    what: 'Removes local copies of what is proven elsewhere',
    immich: 'eviction',
  },
  maintenance: {
    label: 'Housekeeping',
    what: 'Regular checks and clean-up',
    immich: 'backgroundTask',
  },
} as const satisfies Record<QueueName, Naming>

export const QUEUE_NAMES = Object.keys(QUEUES) as readonly QueueName[]
