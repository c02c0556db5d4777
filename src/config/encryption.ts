/** `encryption` of a bucket: what contradicts in it, and its keys read. Types are the schema's. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type KindKey, OBJECT_KINDS } from '../placement/object-kinds.ts'
import { locationsOf } from './location-mistakes.ts'
import type { Mistake } from './mistakes.ts'
import type { ConfigFile } from './schema.ts'

type Storage = ConfigFile['storage']
type Bucket = NonNullable<Storage['s3']>
type NamedBucket = Storage['buckets'][string]
type Written = NonNullable<Bucket['encryption']>
type WrittenKey = Written['previousKeys'][number]

/** As the storage layer takes it: keys are their 32 bytes. */
export type Encryption = { previousKeys: Buffer[] } & (
  | { type: 'sse-s3' }
  | {
      type: 'sse-kms'
      keyId: string | null
      bucketKey: boolean
      context: Record<string, string> | null
    }
  | { type: 'sse-c'; key: Buffer }
)

type WithKeys<Any> = Omit<Any, 'encryption'> & { encryption: Encryption | null }
/** `storage.s3`, and one of `storage.buckets`, as the rest of the code takes them. */
export type BucketConfig = WithKeys<Bucket>
export type NamedBucketConfig = WithKeys<NamedBucket>

const KEY_BYTES = 32
const KEY_RIGHT = 'write 32 random bytes in base64, as `openssl rand -base64 32` makes them'
/** A key has 44 characters in base64; what is much longer is another file. */
const MAX_FILE_CHARACTERS = 1_000

/** All buckets, with the keys of their files. */
export function readEncryptions({ s3, buckets }: Pick<Storage, 's3' | 'buckets'>): {
  s3: BucketConfig | null
  buckets: Record<string, NamedBucketConfig>
  mistakes: Mistake[]
} {
  const mistakes: Mistake[] = []
  const read = <Any extends Bucket | NamedBucket>(path: string[], bucket: Any): WithKeys<Any> => {
    const found = readEncryption(path, bucket)
    mistakes.push(...found.mistakes)
    return { ...bucket, encryption: found.encryption }
  }
  return {
    s3: s3 && read(['storage', 's3'], s3),
    buckets: Object.fromEntries(
      Object.entries(buckets).map(([name, bucket]) => [name, read(['storage', 'buckets', name], bucket)]),
    ),
    mistakes,
  }
}

/** Reads the keys of a bucket's files. What can't be read is a mistake: without the key nothing can be. */
function readEncryption(
  path: string[],
  { encryption, endpoint }: Pick<Bucket, 'encryption' | 'endpoint'>,
): { encryption: Encryption | null; mistakes: Mistake[] } {
  if (encryption === null) return { encryption: null, mistakes: [] }
  const at = [...path, 'encryption']
  const mistakes = [...misplacedKeys(at, encryption), ...plainHttp(path, encryption, endpoint)]
  const previousKeys = encryption.previousKeys.flatMap((written, index) => {
    const key = readKey([...at, 'previousKeys', String(index)], written, mistakes)
    return key === null ? [] : [key]
  })
  if (encryption.type === 'sse-c') {
    const key = readKey(at, encryption, mistakes)
    if (key === null) return { encryption: null, mistakes }
    if (previousKeys.some((one) => one.equals(key)))
      mistakes.push({
        path: [...at, 'previousKeys'],
        wrong: 'the key of today is among the earlier ones',
        right: 'leave it out here',
      })
    return { encryption: { type: 'sse-c', key, previousKeys }, mistakes }
  }
  if (encryption.type === 'sse-s3') return { encryption: { type: 'sse-s3', previousKeys }, mistakes }
  const { keyId, bucketKey, context } = encryption
  return {
    encryption: { type: 'sse-kms', keyId, bucketKey: bucketKey ?? false, context, previousKeys },
    mistakes,
  }
}

/** What belongs to another type, and would be without effect. */
function misplacedKeys(at: string[], encryption: Written): Mistake[] {
  const of: Record<'keyId' | 'bucketKey' | 'context' | 'key' | 'keyFile', Written['type']> = {
    keyId: 'sse-kms',
    bucketKey: 'sse-kms',
    context: 'sse-kms',
    key: 'sse-c',
    keyFile: 'sse-c',
  }
  return Object.entries(of).flatMap(([name, type]) =>
    encryption.type === type || encryption[name as keyof typeof of] === null
      ? []
      : [
          {
            path: [...at, name],
            wrong: `this is for type ${type}`,
            right: `leave it out, or write type: ${type}`,
          },
        ],
  )
}

/** Anybody on the way would read the key, unlike the secret that requests are signed with. */
function plainHttp(path: string[], { type, previousKeys }: Written, endpoint: string | null): Mistake[] {
  if (endpoint === null || (type !== 'sse-c' && previousKeys.length === 0)) return []
  const { protocol, hostname } = new URL(endpoint)
  const isHere = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  if (protocol === 'https:' || isHere) return []
  return [
    {
      path: [...path, 'endpoint'],
      wrong: 'each request to it carries the key of encryption, which anybody on the way can read over http',
      right: 'write an https address, or leave sse-c out',
    },
  ]
}

function readKey(at: string[], { key, keyFile }: WrittenKey, mistakes: Mistake[]): Buffer | null {
  const add = (name: string, wrong: string, right: string): null => {
    mistakes.push({ path: [...at, name], wrong, right })
    return null
  }
  if (key !== null && keyFile !== null) return add('keyFile', 'there is a key besides', 'keep one of them')
  if (key !== null) return decodeKey(key) ?? add('key', 'this is no key', KEY_RIGHT)
  if (keyFile === null)
    return add(
      'key',
      'this is missing',
      'write the key, best from the environment, or keyFile: the path of its file',
    )
  let text: string
  try {
    text = readFileSync(resolve(keyFile), 'utf8')
  } catch (error) {
    const { code = 'no reason is known' } = error as NodeJS.ErrnoException
    return add(
      'keyFile',
      `this file can't be read (${code})`,
      'bring it back: without the key no file of the bucket can be read',
    )
  }
  if (text.length > MAX_FILE_CHARACTERS) return add('keyFile', 'the file is too long for a key', KEY_RIGHT)
  return decodeKey(text.trim()) ?? add('keyFile', 'the file holds no key', KEY_RIGHT)
}

function decodeKey(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === KEY_BYTES && bytes.toString('base64') === text ? bytes : null
}

/** A key of ours is given to no browser and no network, so nobody else can read or write in such a bucket. */
export function findKeyMistakes(storage: Storage): Mistake[] {
  const mistakes: Mistake[] = []
  const hasOwnKey = (name: string) =>
    (name === 's3' ? storage.s3 : storage.buckets[name])?.encryption?.type === 'sse-c'
  const isBucket = (name: string) => (name === 's3' ? storage.s3 !== null : name in storage.buckets)
  const bucketsOf = (kind: KindKey) => locationsOf(storage)[kind].filter(isBucket)
  const { delivery, upload } = storage
  for (const [name, way] of Object.entries(delivery)) {
    if (way !== 'redirect' && way !== 'cdn') continue
    const kinds = Object.values(OBJECT_KINDS).filter(({ deliveryKey }) => deliveryKey === name)
    const buckets = kinds.flatMap(({ configKey }) => bucketsOf(configKey))
    const isInVain = way === 'cdn' ? hasOwnKey('s3') : buckets.length > 0 && buckets.every(hasOwnKey)
    if (!isInVain) continue
    mistakes.push({
      path: ['storage', 'delivery', name],
      wrong: `this is ${way}, and the bucket is encrypted with a key (sse-c) that neither browsers nor networks are given`,
      right: 'write proxy, or encrypt the bucket with sse-s3 or sse-kms',
    })
  }
  const originals = bucketsOf('originals')
  if (upload.direct === 'on' && originals.length > 0 && originals.every(hasOwnKey))
    mistakes.push({
      path: ['storage', 'upload', 'direct'],
      wrong: 'this is on, and the bucket is encrypted with a key (sse-c) that no client is given',
      right: 'write auto or off, or encrypt the bucket with sse-s3 or sse-kms',
    })
  return mistakes
}
