import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { checkBulkUpload } from '../../library/bulk-upload-check.ts'
import { parseChecksum } from '../../library/checksums.ts'
import { demandQuotaEarly } from '../../library/quota.ts'
import { ALL_LOCAL_FIRST } from '../../library/upload-strategy.ts'
import {
  acceptUpload,
  demandLivePhotoVideo,
  demandSupportedFile,
  findByChecksum,
  stageOriginal,
  type UploadFields,
} from '../../library/uploads.ts'
import { actorOf } from '../authenticate.ts'
import { drainRequest } from '../drain-request.ts'
import { cleanFileName, receiveForm } from '../receive-upload.ts'
import type { HttpParts } from '../server.ts'
import { booleanText, instant, parse, uuid } from '../validate.ts'

const MAX_SIDECAR_BYTES = 16 * 1024 * 1024
/** Below this the body is here before it pays to ask whether it will fit; it is asked at the end in any case. */
const WORTH_ASKING_BYTES = 32 * 1024 * 1024

const uploadFields = z.object({
  fileCreatedAt: instant,
  fileModifiedAt: instant,
  isFavorite: booleanText.optional(),
  visibility: z
    .enum(['timeline', 'archive', 'hidden', 'locked'])
    .refine((value) => value !== 'locked', 'The locked folder is not available on this server yet')
    .optional(),
  // Milliseconds. Immich's v2 clients send `0:00:12.000`, which its v3 refuses, too.
  duration: z
    .union([z.literal('').transform(() => null), z.coerce.number().int().nonnegative().max(1e12)])
    .optional(),
  livePhotoVideoId: z.union([z.literal('').transform(() => null), uuid]).optional(),
  filename: z.string().optional(),
})

const bulkCheck = z.object({
  assets: z.array(z.object({ id: z.string().max(10_000), checksum: z.string().min(1).max(100) })),
})

export function registerUploadRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement, config } = parts
  const access = { who: 'user', permission: 'asset.upload' } as const

  app.post('/api/assets', { config: { access } }, async (request, reply) => {
    const actor = actorOf(request)
    const duplicate = await findAnnounced(parts, request)
    if (duplicate) {
      // Before the body: the client may save itself the rest of it.
      drainRequest(request.raw, reply.raw)
      return reply.status(200).send({ id: duplicate.id, status: 'duplicate' })
    }
    const announced = Number(request.headers['content-length'] ?? 0)
    if (announced > config.uploads.maxBytes + 2 * MAX_SIDECAR_BYTES) {
      drainRequest(request.raw, reply.raw)
      throw new AppError('too-large', `The file is larger than the limit of ${config.uploads.maxBytes} bytes`)
    }

    await using form = await receiveForm(request, reply, placement, {
      assetData: {
        maxBytes: config.uploads.maxBytes,
        check: async (name, fields) => {
          // What can be known to fail is said before gigabytes are sent. Fields may follow, so absence proves nothing yet.
          demandSupportedFile(cleanFileName(fields.filename) || name)
          if (fields.livePhotoVideoId)
            await demandLivePhotoVideo(db, actor, parse(uuid, fields.livePhotoVideoId))
          if (announced > WORTH_ASKING_BYTES)
            await demandQuotaEarly(db, actor.userId, announced - MAX_FORM_OVERHEAD_BYTES)
        },
        stage: (source, name, fields) =>
          stageOriginal({ placement, uploadRules: config.storage ?? ALL_LOCAL_FIRST }, actor, source, {
            fileName: cleanFileName(fields.filename) || name,
            announcedBytes: announced > 0 ? announced : null,
            maxBytes: config.uploads.maxBytes,
          }),
      },
      sidecarData: { maxBytes: MAX_SIDECAR_BYTES },
    })
    const { livePhotoVideoId, duration, filename, ...fields } = parse(uploadFields, { ...form.fields })
    const original = form.files.get('assetData')
    if (!original) throw missingFile('assetData', 'a file is required')
    if (original.staged.size === 0) throw missingFile('assetData', 'the file is empty (0 bytes)')
    const sidecar = form.files.get('sidecarData')?.staged ?? null

    const accepted: UploadFields = {
      fileCreatedAt: fields.fileCreatedAt,
      fileModifiedAt: fields.fileModifiedAt,
      isFavorite: fields.isFavorite ?? false,
      visibility: fields.visibility ?? 'timeline',
      durationMs: duration ?? null,
      livePhotoVideoId: livePhotoVideoId ?? null,
    }
    const result = await acceptUpload(parts, actor, {
      fileName: cleanFileName(filename) || original.name,
      original: original.staged,
      sidecar: sidecar?.size ? sidecar : null,
      fields: accepted,
    })
    return reply.status(result.status === 'created' ? 201 : 200).send(result)
  })

  app.post('/api/assets/bulk-upload-check', { config: { access } }, async (request, reply) => {
    const { assets } = parse(bulkCheck, request.body)
    return reply.status(200).send({ results: await checkBulkUpload(db, actorOf(request), assets) })
  })
}

/** Boundaries, headers and fields around the file: never count them against a quota. */
const MAX_FORM_OVERHEAD_BYTES = 64 * 1024

/** The asset whose checksum the client announces in `x-immich-checksum`, if it is here. */
async function findAnnounced(
  { db }: HttpParts,
  request: FastifyRequest,
): Promise<{ id: string } | undefined> {
  const header = request.headers['x-immich-checksum']
  const sha1 = typeof header === 'string' ? parseChecksum(header.trim()) : null
  return sha1 ? findByChecksum(db, actorOf(request).userId, sha1) : undefined
}

function missingFile(field: string, message: string): AppError {
  return new AppError('invalid', `${field}: ${message}`, {
    fields: [{ path: [field], message, code: 'custom' }],
  })
}
