import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { filesToDownload, planDownload } from '../../library/download.ts'
import { findServable } from '../../placement/serve.ts'
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

export function registerDownloadRoutes(app: FastifyInstance, { db, placement, log }: HttpParts): void {
  const access = { who: 'user', permission: 'asset.download' } as const

  app.post('/api/download/info', { config: { access } }, async (request, reply) =>
    reply.status(201).send(await planDownload(db, actorOf(request), parse(info, request.body))),
  )

  app.post('/api/download/archive', { config: { access } }, async (request, reply) => {
    const { assetIds, archiveName } = parse(archive, request.body)
    const files = await filesToDownload(db, actorOf(request), assetIds)
    const names = safeEntryNames(files.map((file) => file.name))
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    if (reply.raw.destroyed) gone.abort() // while the files were looked up
    const entries = files.map(
      (file, index): ZipEntry => ({
        name: names[index]!,
        size: file.size,
        modifiedAt: file.takenAt,
        // One source at a time: a peer that opened all of them at the start hung for ever at 70 originals.
        open: async () => (await findServable(placement, file.objectId)).open({ signal: gone.signal }),
      }),
    )
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
