/**
 * Adds to each request the headers of server-side encryption that it needs: the one place that does, for
 * requests of the SDK (`encryptRequests`) and our own (`encryptDirect`). With keys of ours (SSE-C) whoever
 * reads must name the key that an object was put with, and none where it was put without: what opened it last
 * is remembered, and tried first.
 */
import { StorageError } from '../../backend.ts'
import type { S3Connection, S3Settings } from './client.ts'
import type { DirectRequest } from './direct.ts'
import {
  type CustomerKey,
  customerKeyHeaders,
  customerKeyOf,
  encryptionHeaders,
  type S3Encryption,
} from './encryption.ts'
import { errorStatus, mayBeOfTheKey } from './errors.ts'
import { type KeyNotes, openKeyNotes } from './key-notes.ts'

/** So many objects, of 150 bytes each; for others the last answer is the guess. */
const REMEMBERED_OBJECTS = 20_000

export type KeyRing = {
  /**
   * Of a put, a copy or the begin of an upload. Throws `denied` where the bucket is known to need other keys.
   */
  headersOfNew(): Promise<Record<string, string>>
  /** Of a part of an upload that we have begun. */
  headersOfPart(): Record<string, string>
  /**
   * Runs a request on what exists with the headers that open it, and again with others where it is refused.
   * Throws `denied` where none opens it: that says nothing of what is held.
   */
  open<T>(
    fullKey: string,
    run: (headers: Record<string, string>) => Promise<T>,
    options?: { ofSource?: boolean },
  ): Promise<T>
  /** After a put: throws `denied` where the answer (header names in lower case) does not name our key. */
  assertEncrypted(fullKey: string, answer: { keyMd5: string | undefined }): void
}

export function openKeyRing(
  { client }: S3Connection,
  settings: S3Settings,
  { direct, notesKeys }: { direct: DirectRequest; notesKeys: boolean },
): KeyRing {
  const encryption: S3Encryption | null = settings.encryption ?? null
  const current = encryption?.type === 'sse-c' ? customerKeyOf(encryption.key) : null
  const previous = (encryption?.previousKeys ?? []).map(customerKeyOf)
  const keys = [...(current === null ? [] : [current]), ...previous]
  // What is put now is tried before what was put without a key, and that before older keys.
  const candidates: readonly (CustomerKey | null)[] = [...new Set([current, null, ...previous])]
  const ofNew = encryptionHeaders(encryption)
  const notes: KeyNotes = openKeyNotes({
    client,
    direct,
    settings,
    keys,
    current: notesKeys ? current : null,
  })
  const lastOpened = new Map<string, CustomerKey | null>()
  let lastAnswered: CustomerKey | null = current

  function remember(fullKey: string, key: CustomerKey | null): void {
    lastOpened.delete(fullKey)
    lastOpened.set(fullKey, key)
    const [oldest] = lastOpened.size > REMEMBERED_OBJECTS ? lastOpened.keys() : []
    if (oldest !== undefined) lastOpened.delete(oldest)
  }

  return {
    async headersOfNew() {
      if (keys.length > 0) await notes.assertRight()
      if (current !== null && notesKeys) await notes.noteCurrent()
      return { ...ofNew, ...customerKeyHeaders(current) }
    },

    headersOfPart: () => customerKeyHeaders(current),

    async open(fullKey, run, { ofSource = false } = {}) {
      if (keys.length === 0) return orNamingKey(notes, () => run({}))
      await notes.assertRight()
      const known = lastOpened.get(fullKey)
      const guess = known === undefined ? lastAnswered : known
      const refusals: unknown[] = []
      for (const key of new Set([guess, ...candidates])) {
        try {
          const answer = await run(customerKeyHeaders(key, { ofSource }))
          remember(fullKey, key)
          lastAnswered = key
          return answer
        } catch (error) {
          if (!mayBeOfTheKey(error)) throw error
          refusals.push(error)
        }
      }
      // Without the permission, each request is refused like this; an object of another key is not.
      if (refusals.every((error) => errorStatus(error) === 403)) throw refusals[0]
      throw new StorageError('denied', `no key of its encryption opens ${fullKey}`, {
        cause: refusals[0],
        remedy:
          'add the key that it was encrypted with to previousKeys of its encryption in the configuration',
      })
    },

    assertEncrypted(fullKey, { keyMd5 }) {
      if (current === null) return
      if (keyMd5 !== current.md5)
        throw new StorageError(
          'denied',
          `the service did not encrypt ${fullKey} with the key that it was given`,
          {
            remedy: 'it does not know SSE-C: remove encryption from the configuration of the bucket',
          },
        )
      remember(fullKey, current)
    },
  }
}

/** Nobody has configured a key: where the bucket holds files of one, a refusal says so. */
async function orNamingKey<T>(notes: KeyNotes, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (errorStatus(error) === 400 && mayBeOfTheKey(error)) await notes.assertRight({ cause: error })
    throw error
  }
}

/** GET, HEAD and PUT without the SDK, encrypted as the bucket's settings ask for. */
export function encryptDirect(direct: DirectRequest, ring: KeyRing): DirectRequest {
  return async (method, fullKey, headers, options) => {
    if (method !== 'PUT')
      return ring.open(fullKey, (ofKey) => direct(method, fullKey, { ...headers, ...ofKey }, options))
    const answer = await direct(method, fullKey, { ...headers, ...(await ring.headersOfNew()) }, options)
    try {
      ring.assertEncrypted(fullKey, {
        keyMd5: answer.headers['x-amz-server-side-encryption-customer-key-md5'],
      })
    } catch (error) {
      answer.body.destroy()
      throw error
    }
    return answer
  }
}

type Next = (args: Args) => Promise<{ output: { SSECustomerKeyMD5?: string } }>
type Args = { input: { Key?: string; CopySource?: string }; request: unknown }
type HttpParts = { headers: Record<string, string> }

/** The same for requests of the SDK. */
export function encryptRequests({ client }: S3Connection, ring: KeyRing): void {
  const middleware = (next: Next, context: { commandName?: string }) => async (args: Args) => {
    const { Key = '', CopySource = '' } = args.input
    const send = (headers: Record<string, string>) => next(withHeaders(args, headers))
    switch (context.commandName) {
      case 'PutObjectCommand': {
        const answer = await send(await ring.headersOfNew())
        ring.assertEncrypted(Key, { keyMd5: answer.output.SSECustomerKeyMD5 })
        return answer
      }
      case 'CreateMultipartUploadCommand':
        return send(await ring.headersOfNew())
      case 'UploadPartCommand':
        return send(ring.headersOfPart())
      case 'CopyObjectCommand':
      case 'UploadPartCopyCommand': {
        const isPart = context.commandName === 'UploadPartCopyCommand'
        const ofTarget = isPart ? ring.headersOfPart() : await ring.headersOfNew()
        const source = decodeURIComponent(CopySource.slice(CopySource.indexOf('/') + 1))
        return ring.open(source, (ofKey) => send({ ...ofTarget, ...ofKey }), { ofSource: true })
      }
      // An upload may have been begun before there was a key.
      case 'CompleteMultipartUploadCommand':
      case 'ListPartsCommand':
      case 'GetObjectCommand':
      case 'HeadObjectCommand':
        return ring.open(Key, send)
      default:
        return next(args)
    }
  }
  client.middlewareStack.add(middleware as never, { step: 'build', priority: 'low', name: 'encryption' })
}

/** A request of its own for each try. */
function withHeaders(args: Args, headers: Record<string, string>): Args {
  const request = args.request as HttpParts
  const copy = Object.assign(Object.create(Object.getPrototypeOf(request) as object) as HttpParts, request)
  copy.headers = { ...request.headers, ...headers }
  return { ...args, request: copy }
}
