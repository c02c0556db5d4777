/** What contradicts in `storage.delivery` and `storage.cdn`; types and ranges are the schema's. */
import { createPrivateKey } from 'node:crypto'
import { type DeliveryKey, type KindKey, OBJECT_KINDS } from '../placement/object-kinds.ts'
import { belongsInBucket } from './location-mistakes.ts'
import type { Mistake } from './mistakes.ts'
import type { ConfigFile } from './schema.ts'

type Storage = ConfigFile['storage']

/** Fewer can be tried out. */
const MIN_SECRET_LENGTH = 32

/** What of `storage.locations` each of `storage.delivery` is about. */
const LOCATIONS_OF: Record<DeliveryKey, KindKey[]> = { originals: [], previews: [], encodedVideos: [] }
for (const { configKey, deliveryKey } of Object.values(OBJECT_KINDS))
  if (deliveryKey !== null) LOCATIONS_OF[deliveryKey].push(configKey)
const KINDS = ['originals', 'previews', 'encodedVideos'] as const

export function findDeliveryMistakes(storage: Storage): Mistake[] {
  const { delivery, cdn, s3 } = storage
  const mistakes: Mistake[] = []
  for (const kind of KINDS) {
    if (delivery[kind] === 'proxy' || LOCATIONS_OF[kind].some((name) => belongsInBucket(storage, name)))
      continue
    mistakes.push({
      path: ['storage', 'delivery', kind],
      wrong: `this is ${delivery[kind]}, and they stay on the disk, which only Glassine can read`,
      right: `write proxy, or set storage.locations.${kind} to a bucket`,
    })
  }
  for (const kind of KINDS.filter((name) => delivery[name] === 'cdn' && cdn === null)) {
    mistakes.push({
      path: ['storage', 'delivery', kind],
      wrong: 'this is cdn, but there is no storage.cdn',
      right: 'describe the network in storage.cdn, or write proxy or redirect',
    })
  }
  if (cdn === null) return mistakes
  const at = (key: keyof NonNullable<Storage['cdn']>, wrong: string, right: string) =>
    mistakes.push({ path: ['storage', 'cdn', key], wrong, right })

  if (s3 === null)
    at(
      'baseUrl',
      'a content delivery network needs a bucket to fetch files from',
      'configure storage.s3, or leave storage.cdn out',
    )
  const { search, hash, username, password, protocol } = new URL(cdn.baseUrl)
  if (search || hash || username || password)
    at('baseUrl', 'this holds more than an address and a path', 'write it as https://cdn.example.org')
  if (cdn.type === 'hmac') {
    if (cdn.secret === null) at('secret', 'this is missing', 'write the secret, best from the environment')
    else if (cdn.secret.length < MIN_SECRET_LENGTH)
      at('secret', 'this is too short', `write at least ${MIN_SECRET_LENGTH} random characters`)
    for (const key of ['keyPairId', 'privateKey', 'cookieDomain', 'policy'] as const) {
      if (cdn[key] !== null) at(key, 'this is for type cloudfront', 'leave it out, or write type: cloudfront')
    }
    return mistakes
  }
  if (cdn.secret !== null) at('secret', 'this is for type hmac', 'leave it out, or write type: hmac')
  if (cdn.keyPairId === null)
    at(
      'keyPairId',
      'this is missing',
      'write the id of the public key in the key group, such as K2JCJMDEHXQW5F',
    )
  if (cdn.privateKey === null)
    at('privateKey', 'this is missing', 'write the RSA private key in PEM, from the environment')
  else if (!isRsaKey(cdn.privateKey))
    at('privateKey', 'this is not an RSA private key', 'write it in PEM, with its first and last line')
  if (cdn.cookieDomain !== null) {
    const host = new URL(cdn.baseUrl).hostname
    if (!`.${host}`.endsWith(`.${cdn.cookieDomain}`))
      at(
        'cookieDomain',
        'the network is not in this domain',
        'write the domain that both this server and the network are in',
      )
    // One photo has three cookies then, and browsers keep some 180 a domain: ours would go as well.
    if (cdn.policy !== 'custom' && delivery.previews === 'cdn')
      at('policy', 'a page of previews has more cookies than browsers keep', 'write custom')
    if (protocol !== 'https:') at('baseUrl', 'cookies are sent by https only', 'write an https address')
  }
  return mistakes
}

function isRsaKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa'
  } catch {
    return false
  }
}
