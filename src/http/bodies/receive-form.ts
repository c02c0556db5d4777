/**
 * Multipart bodies, in flat memory: file after file, while they arrive. Fields may come before or after a
 * file; unknown fields are ignored (clients of several versions send more than we use). Unknown files are
 * refused: whoever hears that all went well may delete them.
 */
import type { FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import type { IncomingFile } from '../../library/incoming-files.ts'
import { chunkTurn } from './chunk-turns.ts'
import { FORM_PACE } from './limits.ts'
import { isMalformedForm } from './malformed-form.ts'
import { tooSlow } from './pace.ts'

/** Names longer than any file system's are cut, in the middle, so that the extension stays. */
const MAX_NAME_LENGTH = 1_000
/**
 * A form has the fields below and two files; clients of other versions send a few more, which are dropped as
 * they arrive.
 */
const MAX_PARTS = 100
const MAX_HEADERS_OF_PART = 20
/** The longest field that is read is a name of 1,000 characters. */
const MAX_FIELD_BYTES = 8 * 1024
/** Parts that nobody asked for, all together. */
const MAX_UNWANTED_BYTES = 64 * 1024 * 1024

export type IncomingForm = {
  /**
   * Each of the wanted files; the next one comes when this one's bytes were read, and the end of them is the
   * end of the form. Throws `invalid` (not multipart, malformed, cut off, a file twice, a file that is not
   * empty and nobody asked for), `too-large` (fields that nobody asked for), `too-slow`; so do the bytes of a
   * file.
   */
  files: AsyncIterable<IncomingFile>
  /** The last value of each field that has arrived. */
  fields: Readonly<Record<string, string>>
}

/** The form that the request brings. `wanted` names the fields of files to keep, and those of text. */
export function receiveForm(
  request: FastifyRequest,
  wanted: { files: readonly string[]; fields: readonly string[] },
): IncomingForm {
  // No prototype: `constructor` is a field name like any other.
  const fields: Record<string, string> = Object.create(null) as Record<string, string>
  return { fields, files: readFiles(request, wanted, fields) }
}

async function* readFiles(
  request: FastifyRequest,
  wanted: { files: readonly string[]; fields: readonly string[] },
  fields: Record<string, string>,
): AsyncGenerator<IncomingFile> {
  if (!request.isMultipart()) {
    throw new AppError('invalid', 'Content-Type: send the file as multipart/form-data')
  }
  const seen = new Set<string>()
  const stopWatching = watchPace(request)
  let unwantedBytes = 0
  const options = {
    limits: {
      parts: MAX_PARTS,
      headerPairs: MAX_HEADERS_OF_PART,
      fieldSize: MAX_FIELD_BYTES,
    },
    // Everything but the text fields that we read is treated as a file: it comes as a stream, and can be
    // dropped meanwhile.
    isPartAFile: (name: string | undefined, contentType: string | undefined, fileName: string | undefined) =>
      isFile(contentType, fileName) || !wanted.fields.includes(name ?? ''),
  }
  try {
    for await (const part of request.parts(options)) {
      if (part.type === 'field') {
        if (part.valueTruncated)
          throw new AppError('invalid', `${part.fieldname}: longer than ${MAX_FIELD_BYTES} bytes`)
        fields[part.fieldname] = fieldText(part.value)
        continue
      }
      if (!isFile(part.mimetype, part.filename) || !wanted.files.includes(part.fieldname)) {
        for await (const chunk of part.file) {
          if (part.filename !== undefined)
            throw new AppError('invalid', `${part.fieldname}: no such file is kept here; send it by itself`)
          // Without a name and a type it is text to us, and would be missing from what is "created".
          if (wanted.files.includes(part.fieldname))
            throw new AppError('invalid', `${part.fieldname}: send it as a file, with a name`)
          unwantedBytes += (chunk as Buffer).length
          if (unwantedBytes > MAX_UNWANTED_BYTES) {
            throw new AppError('too-large', `${part.fieldname}: more bytes than this request needs`)
          }
        }
        continue
      }
      if (seen.has(part.fieldname)) throw new AppError('invalid', `${part.fieldname}: send one file only`)
      seen.add(part.fieldname)
      yield { field: part.fieldname, name: cleanFileName(part.filename), bytes: freeingChunks(part.file) }
    }
  } catch (error) {
    throw describeFormError(error)
  } finally {
    stopWatching()
  }
}

/** A name is only ever data: kept as it was sent, without what PostgreSQL can't hold. */
export function cleanFileName(name: string | undefined): string {
  const clean = (name ?? '').replaceAll('\0', '').toWellFormed()
  if (clean.length <= MAX_NAME_LENGTH) return clean
  const extension = /\.[A-Za-z0-9]{1,10}$/.exec(clean)?.[0] ?? ''
  return (clean.slice(0, MAX_NAME_LENGTH - extension.length) + extension).toWellFormed()
}

function isFile(contentType: string | undefined, fileName: string | undefined): boolean {
  return fileName !== undefined || contentType === 'application/octet-stream'
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return value.replaceAll('\0', '')
  return value === undefined || value === null ? '' : JSON.stringify(value)
}

/**
 * The chunks of an upload, each of them valid until the next is asked for; then its memory is given back at
 * once. Left to the garbage collector, every 20 MB of network chunks made V8 mark the whole heap: 40% of the
 * CPU of an upload.
 */
async function* freeingChunks(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of source) {
      await chunkTurn()
      yield chunk
      // Only memory that belongs to this chunk alone: a slice may share it with fields or with the rest of
      // the file.
      if (chunk.byteLength === chunk.buffer.byteLength) (chunk.buffer as ArrayBuffer).transfer(0)
    }
  } catch (error) {
    throw describeFormError(error)
  }
}

/** A form whose bytes come too slowly is ended as if its client had gone. */
function watchPace({ raw, server }: FastifyRequest): () => void {
  const atStart = raw.socket.bytesRead
  return server.bodyPace.watch({
    pace: FORM_PACE,
    received: () => raw.socket.bytesRead - atStart,
    isOurTurn: () => raw.complete || raw.isPaused() || raw.readableLength > 0,
    onTooSlow: () => raw.destroy(tooSlow()),
  })
}

/** A body that ends too early or is no form is the client's doing, in words that say so. */
function describeFormError(error: unknown): unknown {
  if (error instanceof AppError) return error
  const { code } = error as Error & { code?: string }
  if (code === 'FST_MP_PREMATURE_CLOSE' || code === 'ECONNRESET') {
    return new AppError('invalid', 'The upload was cut off; nothing of it was kept', { cause: error })
  }
  if (isMalformedForm(error)) {
    return new AppError('invalid', 'The body is not complete multipart/form-data; nothing of it was kept', {
      cause: error,
    })
  }
  return error
}
