import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { checkBulkUpload } from '../../../library/uploads/bulk-upload-check.ts'
import { parseChecksum } from '../../../library/uploads/checksums.ts'
import { type IncomingUpload, openAcceptingQueue, receiveUpload } from '../../../library/uploads/receive.ts'
import { ALL_LOCAL_FIRST } from '../../../library/uploads/upload-strategy.ts'
import { actorOf } from '../../access/authenticate.ts'
import { FILE_LISTS } from '../../bodies/limits.ts'
import { cleanFileName, receiveForm } from '../../bodies/receive-form.ts'
import type { HttpParts } from '../../parts.ts'
import { booleanText, fileTime, list, parse, uuid } from '../../validate.ts'
import { metadataItems } from './metadata-items.ts'

const uploadFields = z.object({
  fileCreatedAt: fileTime,
  fileModifiedAt: fileTime,
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
  metadata: z
    .string()
    .transform((json, context): unknown => {
      try {
        return JSON.parse(json)
      } catch {
        context.addIssue({ code: 'custom', message: 'It is no JSON; give a list of {key, value}' })
        return z.NEVER
      }
    })
    .pipe(metadataItems)
    .optional(),
})

const bulkCheck = z.object({
  assets: list(z.object({ id: z.string().max(10_000), checksum: z.string().min(1).max(100) })),
})

export function registerUploadRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement, config } = parts
  const access = { who: 'user', permission: 'asset.upload' } as const
  const uploadParts = {
    db,
    placement,
    uploadRules: config.storage ?? ALL_LOCAL_FIRST,
    maxBytes: config.uploads.maxBytes,
    accepting: openAcceptingQueue(parts.pool.options.max ?? 10),
  }

  app.post('/api/assets', { config: { access, takesForm: true } }, async (request, reply) => {
    const result = await receiveUpload(uploadParts, actorOf(request), incomingUpload(request))
    return reply.status(result.status === 'created' ? 201 : 200).send(result)
  })

  app.post(
    '/api/assets/bulk-upload-check',
    { config: { access, body: FILE_LISTS } },
    async (request, reply) => {
      const { assets } = parse(bulkCheck, request.body)
      return reply.status(200).send({ results: await checkBulkUpload(parts, actorOf(request), assets) })
    },
  )
}

function incomingUpload(request: FastifyRequest): IncomingUpload {
  const checksum = request.headers['x-immich-checksum']
  const length = request.headers['content-length']
  const { files, fields } = receiveForm(request, {
    files: ['assetData', 'sidecarData'],
    fields: Object.keys(uploadFields.shape),
  })
  return {
    announced: {
      sha1: typeof checksum === 'string' ? parseChecksum(checksum.trim()) : null,
      bytes: length === undefined ? null : Number(length),
    },
    files,
    fieldsSoFar: () => ({
      fileName: cleanFileName(fields.filename) || null,
      livePhotoVideoId: fields.livePhotoVideoId ? parse(uuid, fields.livePhotoVideoId) : null,
    }),
    fields() {
      const parsed = parse(uploadFields, { ...fields })
      return {
        fileName: cleanFileName(parsed.filename) || null,
        fileCreatedAt: parsed.fileCreatedAt,
        fileModifiedAt: parsed.fileModifiedAt,
        isFavorite: parsed.isFavorite ?? false,
        visibility: parsed.visibility ?? 'timeline',
        durationMs: parsed.duration ?? null,
        livePhotoVideoId: parsed.livePhotoVideoId ?? null,
        metadata: parsed.metadata ?? [],
      }
    },
  }
}
