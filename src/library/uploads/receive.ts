/**
 * An upload from its first byte to its answer. What can be known to fail is said before gigabytes are sent;
 * what counts is what `acceptUpload` finds when all of it is here.
 */
import { randomUUID } from 'node:crypto'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Placement } from '../../placement/placement.ts'
import { type StagedFile, stageStream } from '../../placement/uploads/stage.ts'
import type { Actor } from '../access.ts'
import type { UploadFields } from '../assets/insert-asset.ts'
import { requireLivePhotoVideo } from '../assets/live-photos.ts'
import { createFairQueue, type FairQueue } from '../fair-queue.ts'
import { type IncomingFile, stageFiles } from '../incoming-files.ts'
import { acknowledgeUnsent, type KnownAsset } from './duplicates.ts'
import { requireQuotaEarly } from './quota.ts'
import { strategyFor, type UploadRules } from './upload-strategy.ts'
import { acceptUpload, requireSupportedFile, type UploadResult } from './uploads.ts'

const MAX_SIDECAR_BYTES = 16 * 1024 * 1024
/**
 * Below this the body is here before it pays to ask whether it will fit; it is asked at the end in any case.
 */
const WORTH_ASKING_BYTES = 32 * 1024 * 1024
/** Boundaries, headers and fields around the file: never count them against a quota. */
const MAX_FORM_OVERHEAD_BYTES = 64 * 1024
/**
 * Around a file, no form is smaller that has a sidecar as well: boundaries and names of one character, a
 * sidecar of one byte and the two times that are required are 289 bytes, with no space that could be saved.
 */
const SMALLEST_FORM_WITH_SIDECAR_BYTES = 256
/** Of the connections to the database. */
const ACCEPTING_SHARE = 0.4

/** What a client sends for one asset. */
export type IncomingUpload = {
  /** Before the body: the checksum of the file, and the size of the body in bytes; null: it does not say. */
  announced: { sha1: Buffer | null; bytes: number | null }
  /** `assetData`, and perhaps `sidecarData`. */
  files: AsyncIterable<IncomingFile>
  /** Those fields that have arrived. They may follow the file, so that null proves nothing yet. */
  fieldsSoFar(): { fileName: string | null; livePhotoVideoId: string | null }
  /**
   * All of them, when the last file has ended. `fileName` null: by the file's own. @throws AppError invalid
   */
  fields(): UploadFields & { fileName: string | null }
}

type Parts = {
  db: Database
  placement: Placement
  uploadRules: UploadRules
  /** Of an original. */
  maxBytes: number
  accepting: FairQueue
}

/**
 * Uploads become assets so many at once: each needs a connection to the database for some 20 ms of waiting
 * for the platter. With all of them at once, every other request waited behind 200.
 */
export function openAcceptingQueue(connections: number): FairQueue {
  return createFairQueue({
    atOnce: Math.max(2, Math.floor(connections * ACCEPTING_SHARE)),
    waitingOfOne: 1_000,
    waitingInAll: 4_000,
    refusal: 'Too many uploads are waiting; try again shortly',
  })
}

/**
 * Makes an asset of what the client sends, or finds the one that it is here as. Where the announced checksum
 * is of one that is here and safe, nothing of the body is read, unless there may be more in it.
 * @throws AppError invalid (form, format, live photo, other bytes than announced), too-large, quota-exceeded,
 * storage-full, unavailable
 */
export async function receiveUpload(
  parts: Parts,
  actor: Actor,
  incoming: IncomingUpload,
): Promise<UploadResult> {
  const { placement, maxBytes, accepting } = parts
  const { sha1, bytes } = incoming.announced
  const known = sha1 && (await acknowledgeUnsent(parts, actor, { sha1, sha256: null }))
  if (known && !mayBringMore(known, bytes)) return { id: known.id, status: 'duplicate' }
  if (bytes !== null && bytes > maxBytes + 2 * MAX_SIDECAR_BYTES)
    throw new AppError('too-large', `The file is larger than the limit of ${maxBytes} bytes`)

  await using staged = await stageFiles(incoming.files, (file) =>
    file.field === 'assetData'
      ? stageOriginal(parts, actor, incoming, { file, isKnown: known !== null })
      : stageStream(placement, file.bytes, { maxBytes: MAX_SIDECAR_BYTES }),
  )
  const { fileName, ...fields } = incoming.fields()
  const original = staged.files.get('assetData')
  if (!original) throw refusedFile('a file is required')
  if (original.staged.size === 0) throw refusedFile('the file is empty (0 bytes)')
  // Whoever has announced it may delete what is "created", and has other bytes than these.
  if (sha1 !== null && !original.staged.sha1.equals(sha1))
    throw refusedFile('what arrived has another SHA-1 than was announced; send it again')
  const sidecar = staged.files.get('sidecarData')?.staged ?? null

  // Awaited here: what is still staged goes when this function is left.
  return await accepting.run(actor.userId, () =>
    acceptUpload(parts, actor, {
      fileName: fileName ?? original.name,
      original: original.staged,
      sidecar: sidecar?.size ? sidecar : null,
      fields,
    }),
  )
}

/**
 * "Duplicate" is said of all that was sent. What else is in a form shows only behind the file: where there is
 * room for a sidecar, or for more than the one that is here, it is read. An asset that has a sidecar gets no
 * other, so that nothing is lost there; but any other file would be dropped unseen.
 */
function mayBringMore({ sidecarBytes, originalBytes }: KnownAsset, announcedBytes: number | null): boolean {
  if (announcedBytes === null) return true
  if (sidecarBytes === null) return announcedBytes >= originalBytes + SMALLEST_FORM_WITH_SIDECAR_BYTES
  return announcedBytes > originalBytes + sidecarBytes + MAX_FORM_OVERHEAD_BYTES
}

/**
 * Stages an original, by the strategy of its owner, unless it is known already that it will be refused. One
 * that is here already is compared, and goes: it is sent on to no other place, and takes nothing of a quota.
 */
async function stageOriginal(
  { db, placement, uploadRules, maxBytes }: Parts,
  actor: Actor,
  incoming: IncomingUpload,
  { file, isKnown }: { file: IncomingFile; isKnown: boolean },
): Promise<StagedFile> {
  const { fileName, livePhotoVideoId } = incoming.fieldsSoFar()
  const { bytes } = incoming.announced
  const { mimeType, extension } = requireSupportedFile(fileName ?? file.name)
  if (livePhotoVideoId !== null) await requireLivePhotoVideo(db, actor, livePhotoVideoId)
  if (isKnown) return stageStream(placement, file.bytes, { maxBytes })
  if (bytes !== null && bytes > WORTH_ASKING_BYTES)
    await requireQuotaEarly(db, actor.userId, bytes - MAX_FORM_OVERHEAD_BYTES)

  if (strategyFor(uploadRules, actor) === 'local-first')
    return stageStream(placement, file.bytes, { maxBytes })
  return stageStream(placement, file.bytes, {
    maxBytes,
    writeThroughTo: {
      kind: 'original',
      ownerId: actor.userId,
      assetId: randomUUID(),
      contentType: mimeType,
      extension,
      expectedBytes: bytes,
    },
  })
}

function refusedFile(message: string): AppError {
  return new AppError('invalid', `assetData: ${message}`, {
    fields: [{ path: ['assetData'], message, code: 'custom' }],
  })
}
