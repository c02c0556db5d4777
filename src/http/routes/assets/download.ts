import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import type { Actor } from '../../../library/access.ts'
import {
  archiveProgress,
  beginArchive,
  cancelArchive,
  createArchive,
  noteArchive,
} from '../../../library/downloads/archive-downloads.ts'
import { filesToDownload, planDownload } from '../../../library/downloads/download.ts'
import { requireReadable } from '../../../library/downloads/zip-plan.ts'
import { findServable, readableObjects } from '../../../placement/reads/serve.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS } from '../../bodies/limits.ts'
import { toErrorResponse } from '../../error-response.ts'
import type { HttpParts } from '../../parts.ts'
import { contentDisposition } from '../../send/content-disposition.ts'
import { pipeStream } from '../../send/pipe-stream.ts'
import { safeEntryNames, type ZipEntry, zipLength, zipStream } from '../../send/zip.ts'
import { idParams, ids, parse, text, uuid } from '../../validate.ts'

const info = z.object({
  assetIds: ids.optional(),
  albumId: uuid.optional(),
  userId: uuid.optional(),
  archiveSize: z.number().int().positive().optional(),
})
const archive = z.object({ assetIds: ids, archiveName: text(200).optional() })

const MISSING_LIST_NAME = 'NOT IN THIS ARCHIVE.txt'

/** How often it is noted how far an archive is; its cancellation is heard then. */
const NOTE_MS = 1000

export function registerDownloadRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, placement } = parts
  const access = { who: 'user', permission: 'asset.download' } as const

  app.post('/api/download/info', { config: { access, body: ID_LISTS } }, async (request, reply) =>
    reply.status(201).send(await planDownload(db, actorOf(request), parse(info, request.body))),
  )

  app.post('/api/download/archive', { config: { access, body: ID_LISTS } }, async (request, reply) => {
    const { assetIds, archiveName } = parse(archive, request.body)
    const zip = await openZip(parts, actorOf(request), assetIds, reply)
    return sendZip(reply, zip, archiveName ?? 'glassine', (error) =>
      parts.log.warn({ requestId: request.id, error: error.message }, 'an archive was cut off'),
    )
  })

  // The same as an address of its own: a browser streams what a link leads to straight to the disk, and a
  // page that fetched it would hold all of it in memory.
  app.post('/api/download/archives', { config: { access, body: ID_LISTS } }, async (request, reply) => {
    const { assetIds, archiveName } = parse(archive, request.body)
    const actor = actorOf(request)
    const files = await filesToDownload(db, actor, assetIds)
    await requireReadable(placement, files)
    const wish = { assetIds, name: archiveName ?? 'glassine' }
    return reply.status(201).send(await createArchive(db, actor, wish, files))
  })
  app.get('/api/download/archives/:id', { config: { access } }, async (request, reply) => {
    const actor = actorOf(request)
    const { id } = parse(idParams, request.params)
    const { assetIds, name } = await beginArchive(db, actor, id)
    try {
      const zip = await openZip(parts, actor, assetIds, reply)
      return sendZip(reply, followed(parts, id, zip, reply), name, () => undefined)
    } catch (error) {
      // As the answer says it: what went wrong inside is for the log.
      await noteArchive(db, id, { state: 'failed', error: toErrorResponse(error).body.message })
      throw error
    }
  })
  app.get('/api/download/archives/:id/progress', { config: { access } }, (request) =>
    archiveProgress(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.delete('/api/download/archives/:id', { config: { access } }, async (request, reply) => {
    await cancelArchive(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
}

type Zip = { bytes: Readable; length: number }

/** Nothing of it is sent yet. Throws as `requireReadable`, and `unavailable` where none of them can be read. */
async function openZip(
  { db, placement }: HttpParts,
  actor: Actor,
  assetIds: readonly string[],
  reply: FastifyReply,
): Promise<Zip> {
  const files = await filesToDownload(db, actor, assetIds)
  await requireReadable(placement, files)
  const readable = await readableObjects(
    placement,
    files.map((file) => file.objectId),
  )
  const included = files.filter((file) => readable.has(file.objectId))
  const missing = files.filter((file) => !readable.has(file.objectId))
  if (included.length === 0 && missing.length > 0)
    throw new AppError('unavailable', 'none of these originals can be read now; try again later')
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  if (reply.raw.destroyed) gone.abort() // while the files were looked up
  const entries = included.map(
    (file): ZipEntry => ({
      name: file.name,
      size: file.size,
      modifiedAt: file.takenAt,
      // Not all at the start: a peer that did so hung for ever at 70 originals.
      open: async () => (await findServable(placement, file.objectId)).open({ signal: gone.signal }),
    }),
  )
  if (missing.length > 0) entries.push(listOfMissing(missing.map((file) => file.name)))
  for (const [index, name] of safeEntryNames(entries.map((entry) => entry.name)).entries())
    entries[index]!.name = name
  return { bytes: Readable.from(zipStream(entries), { objectMode: false }), length: zipLength(entries) }
}

function sendZip(
  reply: FastifyReply,
  { bytes, length }: Zip,
  name: string,
  onCut: (error: Error) => void,
): FastifyReply {
  reply.hijack()
  reply.raw.writeHead(200, {
    'content-type': 'application/octet-stream',
    'content-length': length,
    'content-disposition': contentDisposition('attachment', `${name}.zip`),
  })
  // Whoever leaves in the middle needs no word.
  let isClosed = false
  reply.raw.once('close', () => (isClosed = true))
  pipeStream(bytes, reply.raw, length, (error) => {
    if (!isClosed) onCut(error)
  })
  return reply
}

/** Notes how far it is, and ends it when it was cancelled. */
function followed({ db, log }: HttpParts, id: string, { bytes, length }: Zip, reply: FastifyReply): Zip {
  let sent = 0
  let isCut = false
  bytes.on('data', (chunk: Buffer) => (sent += chunk.length))
  // Listening has begun to read; the pipe goes on when it is there.
  bytes.pause()
  bytes.on('error', (error) => {
    isCut = true
    log.warn({ archive: id, error: error.message }, 'an archive was cut off')
  })
  // One after the other: on two connections "running" may be written after "done".
  let noted = Promise.resolve(true)
  const note = (what: Parameters<typeof noteArchive>[2]) => {
    noted = noted
      .then(() => noteArchive(db, id, what))
      .catch((error: Error) => {
        log.warn({ error: error.message }, 'how far an archive is could not be noted')
        return true
      })
    return noted
  }
  void note({ state: 'running', sentBytes: 0, totalBytes: length })
  let isNoting = false
  const timer = setInterval(async () => {
    if (isNoting) return
    isNoting = true
    if (!(await note({ state: 'running', sentBytes: sent }))) reply.raw.destroy()
    isNoting = false
  }, NOTE_MS)
  reply.raw.once('close', () => {
    clearInterval(timer)
    const error = isCut
      ? 'One of the files could not be read to its end.'
      : 'It was interrupted before its end.'
    void note(
      reply.raw.writableFinished
        ? { state: 'done', sentBytes: sent }
        : { state: 'failed', sentBytes: sent, error },
    )
  })
  return { bytes, length }
}

/**
 * The archive's length is known before its first byte, so what is known to be missing by then can be named in
 * it.
 */
function listOfMissing(names: readonly string[]): ZipEntry {
  const text = [
    'No verified copy of these originals could be found when this archive was made. They are not in it.',
    'The storage page of Glassine says where each of them is, and why it can not be read.',
    '',
    ...names.map((name) => name.replace(/[\r\n]/g, ' ')),
    '',
  ].join('\r\n')
  const bytes = Buffer.from(text)
  return {
    name: MISSING_LIST_NAME,
    size: bytes.length,
    modifiedAt: new Date(),
    open: async () => Readable.from([bytes], { objectMode: false }),
  }
}
