/** What a client sends in the scenarios. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { UploadStrategy } from '../../../../src/config.ts'
import type { Actor } from '../../../../src/library/access.ts'
import { openAcceptingQueue, receiveUpload } from '../../../../src/library/uploads/receive.ts'
import type { UploadResult } from '../../../../src/library/uploads/uploads.ts'
import type { Site } from '../site.ts'

export const FIELDS = {
  fileCreatedAt: new Date('2026-01-02T03:04:05Z'),
  fileModifiedAt: new Date('2026-01-02T03:04:05Z'),
  isFavorite: false,
  visibility: 'timeline',
  durationMs: null,
  livePhotoVideoId: null,
} as const
const PIECE_BYTES = 256 * 1024

export const hashOf = (algorithm: string, bytes: Buffer): Buffer =>
  createHash(algorithm).update(bytes).digest()
export const sha256Of = (bytes: Buffer): string => hashOf('sha256', bytes).toString('hex')

/** As the route of an upload does it, with the file at `path`, and a sidecar where one is given. */
export async function uploadFile(
  { db, placement, setup }: Site,
  path: string,
  {
    strategy = 'local-first',
    sidecar,
    actor = setup.actor,
  }: { strategy?: UploadStrategy; sidecar?: Buffer; actor?: Actor } = {},
): Promise<UploadResult & { sha256: string }> {
  const bytes = await readFile(path)
  const files = async function* () {
    yield { field: 'assetData', name: 'photo.jpg', bytes: piecesOf(bytes) }
    if (sidecar) yield { field: 'sidecarData', name: 'photo.xmp', bytes: piecesOf(sidecar) }
  }
  const result = await receiveUpload(
    {
      db,
      placement,
      uploadRules: { upload: { strategy }, rollout: null },
      maxBytes: 1e9,
      accepting: openAcceptingQueue(6),
    },
    actor,
    {
      announced: { sha1: hashOf('sha1', bytes), bytes: bytes.length + (sidecar?.length ?? 0) + 1_000 },
      files: files(),
      fieldsSoFar: () => ({ fileName: 'photo.jpg', livePhotoVideoId: null }),
      fields: () => ({ ...FIELDS, fileName: 'photo.jpg' }),
    },
  )
  return { ...result, sha256: sha256Of(bytes) }
}

async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES)
}
