import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { requireReadable } from '../../library/archives.ts'
import { filesToDownload, planDownload } from '../../library/download.ts'
import { findServable, readableObjects } from '../../placement/serve.ts'
import { actorOf } from '../authenticate.ts'
import { contentDisposition } from '../content-disposition.ts'
import { pipeStream } from '../pipe-stream.ts'
import type { HttpParts } from '../server.ts'
import { parse, text, uuid } from '../validate.ts'
import { safeEntryNames, type ZipEntry, zipLength, zipStream } from '../zip.ts'

const info = z.object({
  assetIds: z.array(uuid).optional(),
  albumId: uuid.optional(),
  userId: uuid.optional(),
  archiveSize: z.number().int().positive().optional(),
})
const archive = z.object({ assetIds: z.array(uuid), archiveName: text(200).optional() })

const MISSING_LIST_NAME = 'NOT IN THIS ARCHIVE.txt'

export function registerDownloadRoutes(app: FastifyInstance, { db, placement, log }: HttpParts): void {
  const access = { who: 'user', permission: 'asset.download' } as const

  app.post('/api/download/info', { config: { access } }, async (request, reply) =>
    reply.status(201).send(await planDownload(db, actorOf(request), parse(info, request.body))),
  )

  app.post('/api/download/archive', { config: { access } }, async (request, reply) => {
    const { assetIds, archiveName } = parse(archive, request.body)
    const files = await filesToDownload(db, actorOf(request), assetIds)
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
    const length = zipLength(entries)
    reply.hijack()
    reply.raw.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': length,
      'content-disposition': contentDisposition('attachment', `${archiveName ?? 'glassine'}.zip`),
    })
    pipeStream(Readable.from(zipStream(entries), { objectMode: false }), reply.raw, length, (error) => {
      if (!gone.signal.aborted)
        log.warn({ requestId: request.id, error: error.message }, 'an archive was cut off')
    })
    return reply
  })
}

/** The archive's length is known before its first byte, so what is known to be missing by then can be named in it. */
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
