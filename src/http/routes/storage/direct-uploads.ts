import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { announceUpload } from '../../../library/direct-uploads/announce.ts'
import { confirmUpload } from '../../../library/direct-uploads/confirm.ts'
import { giveUpUpload } from '../../../library/direct-uploads/give-up.ts'
import { DIRECT_LIMITS } from '../../../library/direct-uploads/limits.ts'
import { findUpload, type LoadedUpload, requireUpload } from '../../../library/direct-uploads/rows.ts'
import { listDirectUploads, showDirectUpload } from '../../../library/direct-uploads/show.ts'
import { signDirectParts } from '../../../library/direct-uploads/sign-parts.ts'
import {
  beginBrowserProbe,
  finishBrowserProbe,
  uploadReachOf,
} from '../../../placement/locations/browser-reach.ts'
import {
  findDirectTarget,
  requireDirectTarget,
  takesSinglePuts,
} from '../../../placement/uploads/direct-target.ts'
import { type AuthenticatedQuery, actorOf, foundBy } from '../../access/authenticate.ts'
import { browserResult, originOf } from '../../access/page-origin.ts'
import { cleanFileName } from '../../bodies/receive-form.ts'
import type { HttpParts } from '../../parts.ts'
import { fileTime, idParams, parse, text, uuid } from '../../validate.ts'

const hex = (digits: number, name: string) =>
  z
    .string()
    .regex(new RegExp(`^[0-9a-f]{${digits}}$`, 'i'), `${name} is ${digits} hexadecimal digits`)
    .transform((value) => value.toLowerCase())
const digest = (digits: number, name: string) =>
  hex(digits, name).transform((value) => Buffer.from(value, 'hex'))

const announcement = z.object({
  fileName: text(1_000).pipe(z.string().min(1)),
  size: z.int().min(1, 'the file is empty (0 bytes)').max(Number.MAX_SAFE_INTEGER),
  sha256: digest(64, 'SHA-256'),
  sha1: digest(40, 'SHA-1'),
  md5: digest(32, 'MD5').nullable().default(null),
  fileCreatedAt: fileTime,
  fileModifiedAt: fileTime,
  isFavorite: z.boolean().default(false),
  visibility: z.enum(['timeline', 'archive', 'hidden']).default('timeline'),
  durationMs: z.int().nonnegative().max(1e12).nullable().default(null),
  livePhotoVideoId: uuid.nullable().default(null),
})

const partsAsked = z.object({
  parts: z
    .array(z.object({ number: z.int().min(1).max(10_000), size: z.int().min(1), md5: hex(32, 'MD5') }))
    .min(1)
    .max(DIRECT_LIMITS.partsPerRequest),
})

const listQuery = z.object({
  /** Up to 100 ids, with commas between them. */
  ids: z
    .string()
    .max(4_000)
    .transform((value) => value.split(','))
    .pipe(z.array(uuid).max(100))
    .optional(),
  state: z.enum(['open', 'received', 'done', 'duplicate', 'failed', 'abandoned']).optional(),
})

/** Of the page that asks; null: no page. */
const configQuery = z.object({ origin: text(300).nullable().default(null) })

/**
 * Glassine's own: uploads that go past the server into the bucket. docs/direct-upload.md describes the
 * protocol.
 */
export function registerDirectUploadRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement, config } = parts
  const access = { who: 'user', permission: 'asset.upload' } as const
  const mode = config.storage?.upload.direct ?? 'auto'

  app.get('/api/storage/uploads/config', { config: { access } }, async (request) => {
    const { origin } = parse(configQuery, request.query)
    const target = await findDirectTarget(placement, mode)
    const isSingle = !('location' in target) || takesSinglePuts(target.features)
    const limits = {
      maxBytes: config.uploads.maxBytes,
      maxSinglePutBytes: isSingle ? DIRECT_LIMITS.singlePutBytes : 0,
      maxOpenUploads: DIRECT_LIMITS.openUploads,
      maxPartsPerRequest: DIRECT_LIMITS.partsPerRequest,
    }
    if (!('location' in target)) {
      const reason = actorOf(request).isAdmin ? target.cause : target.reason
      return { isAvailable: false, reason, isOpenToPage: false, ...limits }
    }
    const { id, isDemonstration } = target.location
    const isOpenToPage = origin !== null && (await uploadReachOf(placement, id, origin)) !== null
    return { isAvailable: true, reason: null, isOpenToPage, isDemonstration, ...limits }
  })

  app.post('/api/storage/uploads/check', { config: { access } }, async (request, reply) => {
    const target = await requireDirectTarget(placement, mode, actorOf(request))
    const offer = await beginBrowserProbe(placement, target.location, originOf(request))
    return reply.status(201).send(offer)
  })

  app.put('/api/storage/uploads/check/:id', { config: { access } }, async (request) => {
    const { id } = parse(idParams, request.params)
    const result = parse(browserResult, request.body)
    const { isAdmin } = actorOf(request)
    const { canUpload, why, detail } = await finishBrowserProbe(placement, id, result, { isAdmins: isAdmin })
    return { canUpload, why, detail }
  })

  app.post('/api/storage/uploads', { config: { access } }, async (request, reply) => {
    const { fileName, size, sha256, sha1, md5, ...fields } = parse(announcement, request.body)
    const file = { fileName: cleanFileName(fileName), size, sha256, sha1, md5, fields }
    const limits = { mode, maxBytes: config.uploads.maxBytes }
    const answer = await announceUpload({ db, placement }, actorOf(request), file, limits)
    return reply.status(answer.status === 'created' ? 201 : 200).send(answer)
  })

  app.get('/api/storage/uploads', { config: { access } }, async (request) => {
    const { ids, state } = parse(listQuery, request.query)
    const uploads = await listDirectUploads(db, actorOf(request), { ids: ids ?? null, state: state ?? null })
    return { uploads }
  })

  const uploadOf = (request: FastifyRequest) => {
    parse(idParams, request.params)
    return requireUpload(foundBy(uploadRows, request).loaded)
  }

  app.get(
    '/api/storage/uploads/:id',
    { config: { access, authenticatedQuery: uploadRows } },
    async (request) => showDirectUpload({ db, placement }, actorOf(request), uploadOf(request)),
  )

  app.post(
    '/api/storage/uploads/:id/parts',
    { config: { access, authenticatedQuery: uploadRows } },
    async (request, reply) => {
      const upload = uploadOf(request)
      const { parts: wanted } = parse(partsAsked, request.body)
      return reply.status(200).send(await signDirectParts(placement, upload, wanted))
    },
  )

  app.post(
    '/api/storage/uploads/:id/confirm',
    { config: { access, authenticatedQuery: uploadRows } },
    async (request, reply) => {
      const upload = uploadOf(request)
      return reply.status(200).send(await confirmUpload({ db, placement }, actorOf(request), upload))
    },
  )

  app.delete('/api/storage/uploads/:id', { config: { access } }, async (request, reply) => {
    await giveUpUpload({ db, placement }, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}

const uploadRows: AuthenticatedQuery<{ loaded: LoadedUpload | null }> = (request, db, credentials) => {
  const { data } = idParams.safeParse(request.params)
  return data ? findUpload(db, credentials, data.id) : null
}
