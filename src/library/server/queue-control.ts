/**
 * Immich's queues and ours: its clients show, pause and start theirs; here each stands for one of ours, or
 * for none.
 */
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { enqueueMany } from '../../queue/enqueue.ts'
import { dismissFailures, retryFailed } from '../../queue/failures.ts'
import type { QueueName } from '../../queue/job-types.ts'
import { pauseQueue, type QueueCounts, queueCounts, resumeQueue } from '../../queue/queues.ts'
import type { Actor } from '../access.ts'
import { enqueueProcessingOfMany } from '../assets/enqueue-processing.ts'

/**
 * Metadata and pictures are one job with us, since the original is read once for both. Null: nothing of ours.
 */
const OURS = {
  thumbnailGeneration: 'processing',
  metadataExtraction: 'processing',
  videoConversion: 'videoConversion',
  faceDetection: null,
  facialRecognition: null,
  smartSearch: null,
  duplicateDetection: null,
  backgroundTask: 'maintenance',
  storageTemplateMigration: null,
  migration: 'replication',
  search: null,
  sidecar: null,
  library: null,
  notifications: null,
  backupDatabase: null,
  ocr: null,
  workflow: null,
  integrityCheck: null,
  editor: null,
  /** Not one of Immich's: giving up local replicas, and purging. Its clients ignore what they don't know. */
  eviction: 'eviction',
} as const satisfies Record<string, QueueName | null>

export type ImmichQueue = keyof typeof OURS
export const IMMICH_QUEUES = Object.keys(OURS) as ImmichQueue[]

export type QueueCommand = 'start' | 'pause' | 'resume' | 'empty' | 'clear-failed'
export type QueueView = {
  jobCounts: {
    active: number
    completed: number
    failed: number
    delayed: number
    waiting: number
    paused: number
  }
  queueStatus: { isActive: boolean; isPaused: boolean }
}

/** Immich's `QueuesResponseLegacyDto`. */
export async function listQueues(db: Database): Promise<Record<ImmichQueue, QueueView>> {
  const counts = await queueCounts(db)
  return Object.fromEntries(
    IMMICH_QUEUES.map((name) => [name, describe(OURS[name] === null ? null : counts[OURS[name]])]),
  ) as Record<ImmichQueue, QueueView>
}

/** Does what the command says, with the queue of ours that it means, and answers how it stands then. */
export async function commandQueue(
  db: Database,
  actor: Actor,
  name: ImmichQueue | QueueName,
  command: QueueCommand,
  force: boolean,
): Promise<QueueView> {
  const queue = name in OURS ? OURS[name as ImmichQueue] : (name as QueueName)
  // immich-go pauses the queues of machine learning, too, and gives up when that fails.
  if (queue === null) return describe(null)
  if (command === 'pause') await pauseQueue(db, queue, actor.email)
  if (command === 'resume') await resumeQueue(db, queue)
  if (command === 'start') {
    if (queue === 'processing') await startProcessing(db, force)
    if (queue === 'videoConversion') await convertFailed(db)
    await retryFailed(db, queue)
  }
  if (command === 'empty') {
    throw new AppError(
      'invalid',
      'command: jobs are not thrown away, since photos wait for them; pause the queue instead',
    )
  }
  if (command === 'clear-failed') await dismissFailures(db, queue)
  return describe((await queueCounts(db))[queue])
}

/** Processes what failed, or, with `force`, everything. */
async function startProcessing(db: Database, force: boolean): Promise<void> {
  await db.transaction().execute(async (tx) => {
    let update = tx
      .updateTable('asset')
      .set({ processing: 'pending', processing_error: null, decoder_failures: 0 })
    if (!force) update = update.where('processing', '=', 'failed')
    await enqueueProcessingOfMany(tx, await update.returning(['id', 'owner_id as ownerId']).execute())
  })
}

/**
 * Films that could not be converted; the others need nothing. A photo's error has nothing to do with this.
 */
async function convertFailed(db: Database): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const assets = await tx
      .updateTable('asset')
      .set({ decoder_failures: 0 })
      .where('type', '=', 'VIDEO')
      .where('processing', '=', 'done')
      .where('processing_error', 'is not', null)
      .returning(['id', 'owner_id as owner'])
      .execute()
    const jobs = assets.map(({ id, owner }) => ({ payload: { assetId: id }, owner }))
    await enqueueMany(tx, 'transcode-video', jobs)
  })
}

function describe(counts: QueueCounts | null): QueueView {
  if (counts === null) {
    return {
      jobCounts: { active: 0, completed: 0, failed: 0, delayed: 0, waiting: 0, paused: 0 },
      queueStatus: { isActive: false, isPaused: false },
    }
  }
  const { active, waiting, delayed, failed, isPaused } = counts
  return {
    jobCounts: {
      active,
      completed: 0,
      failed,
      delayed,
      waiting: isPaused ? 0 : waiting,
      paused: isPaused ? waiting : 0,
    },
    queueStatus: { isActive: active > 0, isPaused },
  }
}
