/**
 * Signed URLs and signed cookies of Amazon CloudFront. Form:
 * https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html and
 * private-content-signed-cookies.html: RSA with SHA-1 over the policy's JSON without white space, in a base64
 * of its own.
 */
import { createPrivateKey, type KeyObject, sign as signBytes } from 'node:crypto'
import { addressOf, type Cdn, type CdnFile, epochSeconds, type SignedAddress } from './cdn.ts'

export type CloudFrontSettings = {
  baseUrl: string
  /** Id of the public key in the distribution's key group. */
  keyPairId: string
  /** RSA, in PEM. */
  privateKey: string
  keyPrefix: string
  /**
   * `canned`: for one address until a time. `custom`: also not before one; with cookies, for all of a
   * person's files.
   */
  policy: 'canned' | 'custom'
  /**
   * Null: every address carries its signature. Otherwise the domain, above ours and the network's, of cookies
   * that do.
   */
  cookieDomain: string | null
}

/** Those of a custom policy. */
const COOKIES = ['CloudFront-Policy', 'CloudFront-Signature', 'CloudFront-Key-Pair-Id']
/** CloudFront's clock may be behind ours, and a signature must hold from its first second. */
const CLOCK_TOLERANCE_SECONDS = 300

export function openCloudFront(settings: CloudFrontSettings): Cdn {
  const key = createPrivateKey(settings.privateKey)
  const { origin } = new URL(settings.baseUrl)
  return {
    origin,
    sign(file) {
      const address = addressOf(settings.baseUrl, settings.keyPrefix, file)
      // Cookies for a whole folder are the folder's owner's alone; whoever else may see one file gets its
      // address signed.
      return settings.cookieDomain !== null && file.isOwnersBrowser
        ? withCookies(settings, settings.cookieDomain, key, address, file)
        : { url: `${address}&${signedQuery(settings, key, address, file)}`, cookies: [] }
    },
    endCookies: (userId) => endCookies(settings, userId),
  }
}

function signedQuery(
  { policy, keyPairId }: CloudFrontSettings,
  key: KeyObject,
  address: string,
  file: CdnFile,
): string {
  const text = policy === 'canned' ? cannedPolicy(address, file) : customPolicy(address, file)
  const limit =
    policy === 'canned' ? `Expires=${epochSeconds(file.expiresAt)}` : `Policy=${toUrlSafe(Buffer.from(text))}`
  return `${limit}&Signature=${signPolicy(key, text)}&Key-Pair-Id=${keyPairId}`
}

/** Those for single files are left: they have a path each, and end with their window. */
function endCookies(settings: CloudFrontSettings, userId: string): string[] {
  const { policy, cookieDomain } = settings
  if (policy !== 'custom' || cookieDomain === null) return []
  const path = new URL(folderAddress(settings, `users/${userId}`)).pathname
  return COOKIES.map(
    (name) => `${name}=; Domain=${cookieDomain}; Path=${path}; Max-Age=0; Secure; HttpOnly; SameSite=Lax`,
  )
}

/** Ends with a slash. */
function folderAddress({ baseUrl, keyPrefix }: CloudFrontSettings, folder: string): string {
  return `${baseUrl.replace(/\/+$/, '')}/${keyPrefix}${folder}/`
}

function withCookies(
  settings: CloudFrontSettings,
  domain: string,
  key: KeyObject,
  address: string,
  file: CdnFile,
): SignedAddress {
  const { policy, keyPairId } = settings
  const isCanned = policy === 'canned'
  // `users/{id}/`: the folder of one person.
  const folder = file.key.split('/').slice(0, 2).join('/')
  const resource = isCanned ? address : `${folderAddress(settings, folder)}*`
  const text = isCanned ? cannedPolicy(resource, file) : customPolicy(resource, file)
  const path = new URL(isCanned ? address : resource.slice(0, -1)).pathname
  const attributes =
    `; Domain=${domain}; Path=${path}; Expires=${file.expiresAt.toUTCString()}; ` +
    'Secure; HttpOnly; SameSite=Lax'
  const values = {
    ...(isCanned
      ? { 'CloudFront-Expires': String(epochSeconds(file.expiresAt)) }
      : { 'CloudFront-Policy': toUrlSafe(Buffer.from(text)) }),
    'CloudFront-Signature': signPolicy(key, text),
    'CloudFront-Key-Pair-Id': keyPairId,
  }
  const cookies = Object.entries(values).map(([name, value]) => `${name}=${value}${attributes}`)
  return { url: address, cookies }
}

/** CloudFront builds this very text from the request's parameters: the order of the keys matters. */
function cannedPolicy(resource: string, { expiresAt }: CdnFile): string {
  const Condition = { DateLessThan: { 'AWS:EpochTime': epochSeconds(expiresAt) } }
  return JSON.stringify({ Statement: [{ Resource: resource, Condition }] })
}

function customPolicy(resource: string, { signedAt, expiresAt }: CdnFile): string {
  const Condition = {
    DateLessThan: { 'AWS:EpochTime': epochSeconds(expiresAt) },
    DateGreaterThan: { 'AWS:EpochTime': epochSeconds(signedAt) - CLOCK_TOLERANCE_SECONDS },
  }
  return JSON.stringify({ Statement: [{ Resource: resource, Condition }] })
}

function signPolicy(key: KeyObject, text: string): string {
  return toUrlSafe(signBytes('RSA-SHA1', Buffer.from(text), key))
}

/** CloudFront's own: `+ = /` become `- _ ~`. */
function toUrlSafe(bytes: Buffer): string {
  return bytes.toString('base64').replace(/\+/g, '-').replace(/=/g, '_').replace(/\//g, '~')
}
