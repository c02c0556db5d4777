/**
 * Which keys of ours (SSE-C) a bucket's files were encrypted with, noted in the bucket itself: one small
 * object for each key, encrypted with it, whose name ends with the key's fingerprint. A listing names them
 * without any key, so that a wrong key is found out before the first file is looked at.
 */
import { createHash } from 'node:crypto'
import { DeleteObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { isStorageError, StorageError } from '../../backend.ts'
import { KEY_NOTES_FOLDER } from '../../object-key.ts'
import type { S3Settings } from './client.ts'
import type { DirectRequest } from './direct.ts'
import { type CustomerKey, customerKeyHeaders } from './encryption.ts'
import { mayBeOfTheKey, s3Error } from './errors.ts'

export type KeyNotes = {
  /**
   * Throws `denied` where the bucket has notes of keys that are not configured, or what the current key was
   * noted with does not open. Asked once; again after a failure. `cause`: what it is asked for.
   */
  assertRight(options?: { cause?: unknown }): Promise<void>
  /** To be called before something is put with the current key: notes it. */
  noteCurrent(): Promise<void>
}

export function openKeyNotes({
  client,
  direct,
  settings,
  keys,
  current,
}: {
  client: S3Client
  /** Adds no header of encryption by itself. */
  direct: DirectRequest
  settings: S3Settings
  keys: readonly CustomerKey[]
  current: CustomerKey | null
}): KeyNotes {
  const folder = settings.prefix + KEY_NOTES_FOLDER
  const noteOf = ({ fingerprint }: CustomerKey) => `${folder}${fingerprint}`
  const textOf = ({ fingerprint }: CustomerKey) => `${fingerprint}\n`
  let noted: Promise<Set<string>> | null = null
  let noting: Promise<void> | null = null

  async function ask<T>(action: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw s3Error(error, { action, bucket: settings.bucket })
    }
  }

  async function list(): Promise<Set<string>> {
    const found = new Set<string>()
    const command = new ListObjectsV2Command({ Bucket: settings.bucket, Prefix: folder })
    const { Contents } = await ask('ListObjectsV2 of the notes of keys', () => client.send(command))
    for (const { Key } of Contents ?? []) if (Key?.startsWith(folder)) found.add(Key.slice(folder.length))
    return found
  }

  /** What is held under a note; null where the key does not open it. */
  async function read(key: CustomerKey): Promise<string | null> {
    try {
      const { body } = await direct('GET', noteOf(key), customerKeyHeaders(key), {})
      return Buffer.concat(await body.toArray()).toString()
    } catch (error) {
      if (mayBeOfTheKey(error)) return null
      throw s3Error(error, { action: 'GetObject of the note of a key', bucket: settings.bucket })
    }
  }

  async function look(): Promise<Set<string>> {
    const found = await list()
    const missing = [...found].filter((name) => !keys.some(({ fingerprint }) => fingerprint === name))
    if (missing.length > 0) throw needsOtherKeys(settings.bucket, missing, keys)
    for (const key of keys.filter(({ fingerprint }) => found.has(fingerprint))) {
      const text = await read(key)
      if (text !== textOf(key))
        throw new StorageError(
          'denied',
          `bucket ${settings.bucket} holds a note of the key ${key.fingerprint}, and that key does not open it`,
          { remedy: 'look at what else writes to the bucket; Glassine leaves it alone until the note opens' },
        )
    }
    return found
  }

  function known(): Promise<Set<string>> {
    noted ??= look().catch((error: unknown) => {
      noted = null
      throw error
    })
    return noted
  }

  async function note(key: CustomerKey): Promise<void> {
    const bytes = Buffer.from(textOf(key))
    const digest = (algorithm: string) => createHash(algorithm).update(bytes)
    const headers = {
      'content-length': String(bytes.length),
      'content-type': 'text/plain',
      'content-md5': digest('md5').digest('base64'),
      ...customerKeyHeaders(key),
    }
    const { headers: answer, body } = await ask('PutObject of the note of a key', () =>
      direct('PUT', noteOf(key), headers, { payload: { bytes, sha256: digest('sha256').digest('hex') } }),
    )
    body.resume()
    const isEncrypted = answer['x-amz-server-side-encryption-customer-key-md5'] === key.md5
    if (isEncrypted && (await read(key)) === textOf(key)) return
    // Nothing else was put with the key, so the note would only stand in the way of another one.
    const gone = new DeleteObjectCommand({ Bucket: settings.bucket, Key: noteOf(key) })
    await ask('DeleteObject of the note of a key', () => client.send(gone))
    throw new StorageError(
      'denied',
      `bucket ${settings.bucket} did not encrypt what it was given a key for`,
      {
        remedy: 'the service does not know SSE-C: remove encryption from the configuration of the bucket',
      },
    )
  }

  return {
    async assertRight({ cause } = {}) {
      if (cause === undefined) {
        await known()
        return
      }
      // Somebody else's mistake is being explained: what can't be asked now explains nothing.
      const found = await list().catch((error: unknown) => {
        if (!isStorageError(error)) throw error
        return new Set<string>()
      })
      if (found.size > 0) throw needsOtherKeys(settings.bucket, [...found], keys, cause)
    },

    async noteCurrent() {
      if (current === null) return
      const found = await known()
      if (found.has(current.fingerprint)) return
      noting ??= note(current)
        .then(() => void found.add(current.fingerprint))
        .finally(() => {
          noting = null
        })
      await noting
    },
  }
}

function needsOtherKeys(
  bucket: string,
  missing: readonly string[],
  keys: readonly CustomerKey[],
  cause?: unknown,
): StorageError {
  const configured = keys.map(({ fingerprint }) => fingerprint).join(', ') || 'none'
  return new StorageError(
    'denied',
    `bucket ${bucket} holds files that were encrypted with the key of fingerprint ${missing.join(' and ')} (SSE-C); ` +
      `the configuration has ${configured}`,
    {
      cause,
      remedy:
        'give it that key: as key or keyFile of its encryption, or in previousKeys where there is a newer one',
    },
  )
}
