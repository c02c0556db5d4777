/**
 * Multipart bodies into staged files, in flat memory. Fields may come before or after a file; unknown fields and files are
 * ignored (clients of several versions send more than we use). Whatever ends badly leaves no staged file behind.
 */
import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { Placement } from '../placement/placement.ts'
import { type StagedFile, stageStream } from '../placement/stage.ts'
import { drainRequest } from './drain-request.ts'

/** Names longer than any file system's are cut, in the middle, so that the extension stays. */
const MAX_NAME_LENGTH = 1_000
/** Text fields: `metadata` is JSON of the phone app's, the rest is short. */
const MAX_FIELD_BYTES = 1024 * 1024

export type ReceivedFile = { name: string; staged: StagedFile }
export type ReceivedForm = {
  /** The last value of each field. */
  fields: Record<string, string>
  files: Map<string, ReceivedFile>
  /** Removes what is still staged; files that became objects are not affected. */
  [Symbol.asyncDispose](): Promise<void>
}

export type FileRule = {
  /** Bytes; more is `too-large`. */
  maxBytes: number
  /** Called before the first byte is read, with the fields that came earlier; throws to refuse. */
  check?(name: string, fields: Readonly<Record<string, string>>): void | Promise<void>
  /** Stages the file in another way than by `stageStream` alone. */
  stage?(
    source: AsyncIterable<Buffer>,
    name: string,
    fields: Readonly<Record<string, string>>,
  ): Promise<StagedFile>
}

/**
 * Receives the form. `wanted` names the file fields to keep. Use with `await using`.
 * @throws AppError invalid (not multipart, malformed, cut off, a file twice), too-large, storage-full, or what `check` throws
 */
export async function receiveForm(
  request: FastifyRequest,
  reply: FastifyReply,
  placement: Placement,
  wanted: Record<string, FileRule>,
): Promise<ReceivedForm> {
  if (!request.isMultipart()) {
    throw new AppError('invalid', 'Content-Type: send the file as multipart/form-data')
  }
  // No prototype: `constructor` is a field name like any other.
  const fields: Record<string, string> = Object.create(null) as Record<string, string>
  const files = new Map<string, ReceivedFile>()
  const dispose = async () => {
    for (const file of files.values()) await file.staged.discard()
  }
  try {
    for await (const part of request.parts({ limits: { fieldSize: MAX_FIELD_BYTES } })) {
      if (part.type === 'field') {
        if (part.valueTruncated)
          throw new AppError('invalid', `${part.fieldname}: longer than ${MAX_FIELD_BYTES} bytes`)
        fields[part.fieldname] = fieldText(part.value)
        continue
      }
      const rule = wanted[part.fieldname]
      if (rule === undefined) {
        await discardStream(part.file)
        continue
      }
      if (files.has(part.fieldname)) throw new AppError('invalid', `${part.fieldname}: send one file only`)
      const name = cleanFileName(part.filename)
      await rule.check?.(name, fields)
      const source = freeingChunks(part.file)
      const staged = rule.stage
        ? await rule.stage(source, name, fields)
        : await stageStream(placement, source, { maxBytes: rule.maxBytes })
      files.set(part.fieldname, { name, staged })
    }
  } catch (error) {
    await dispose()
    drainRequest(request.raw, reply.raw)
    throw describeFormError(error)
  }
  return { fields, files, [Symbol.asyncDispose]: dispose }
}

/** A name is only ever data: kept as it was sent, without what PostgreSQL can't hold. */
export function cleanFileName(name: string | undefined): string {
  const clean = (name ?? '').replaceAll('\0', '').toWellFormed()
  if (clean.length <= MAX_NAME_LENGTH) return clean
  const extension = /\.[A-Za-z0-9]{1,10}$/.exec(clean)?.[0] ?? ''
  return (clean.slice(0, MAX_NAME_LENGTH - extension.length) + extension).toWellFormed()
}

function fieldText(value: unknown): string {
  if (typeof value === 'string') return value.replaceAll('\0', '')
  return value === undefined || value === null ? '' : JSON.stringify(value)
}

/**
 * The chunks of an upload, each of them valid until the next is asked for; then its memory is given back at once. Left to the
 * garbage collector, every 20 MB of network chunks made V8 mark the whole heap: 40% of the CPU of an upload.
 */
async function* freeingChunks(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    yield chunk
    // Only memory that is all this chunk's: a slice may share it with fields or with the rest of the file.
    if (chunk.byteLength === chunk.buffer.byteLength) (chunk.buffer as ArrayBuffer).transfer(0)
  }
}

async function discardStream(stream: Readable): Promise<void> {
  for await (const chunk of stream) void chunk
}

/** A body that ends too early or is no form is the client's doing, in words that say so. */
function describeFormError(error: unknown): unknown {
  if (error instanceof AppError) return error
  const { message, code } = error as Error & { code?: string }
  if (code === 'FST_MP_PREMATURE_CLOSE' || code === 'ECONNRESET') {
    return new AppError('invalid', 'The upload was cut off; nothing of it was kept', { cause: error })
  }
  if (/Unexpected end of|terminated early|Malformed|Boundary not found|not multipart/i.test(message ?? '')) {
    return new AppError('invalid', 'The body is no complete multipart/form-data; nothing of it was kept', {
      cause: error,
    })
  }
  return error
}
