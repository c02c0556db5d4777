/** Whether what is put is really encrypted as the configuration asks for, and opened by its own key alone. */
import { randomBytes } from 'node:crypto'
import { isStorageError, type ObjectKey } from '../../../backend.ts'
import { drawback, noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { deleteS3 } from '../../delete.ts'
import {
  CUSTOMER_KEY_BYTES,
  customerKeyHeaders,
  customerKeyOf,
  describeEncryption,
  type S3Encryption,
} from '../../requests/encryption.ts'
import { errorCode } from '../../requests/errors.ts'
import { iamPolicy } from './paste.ts'
import { md5Of, type Probe, refusalOf, sha256Of, someBytes } from './probing.ts'

const NAME = 'encryption'
const HEADER = 'x-amz-server-side-encryption'
const NOT_ENCRYPTED =
  'remove encryption from the configuration of the bucket, or have the provider encrypt the bucket by itself (default encryption); files are put all the same'
const REMEDIES: Record<S3Encryption['type'], string> = {
  'sse-s3': 'remove encryption from the configuration of the bucket: many services encrypt by themselves',
  'sse-kms':
    'check keyId of its encryption in the configuration, and give the credentials kms:GenerateDataKey and kms:Decrypt on that key',
  'sse-c':
    'allow SSE-C at the bucket, which AWS blocks since April 2026 until BlockedEncryptionTypes is NONE (docs/bucket-protection.md), or remove encryption from the configuration of the bucket',
}

/** Goes by what the service says of an object; of a key of ours also by what it refuses. */
export async function checkEncryption(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const { encryption } = bucket.settings
  if (encryption == null) return []
  const own = probe.key('encryption') as ObjectKey
  const key = bucket.fullKey(own)
  const bytes = someBytes(100)
  let headers: Record<string, string>
  let said: Record<string, string>
  try {
    headers = await bucket.headersOfNew()
    said = await bucket.call('PutObject of the probe', undefined, async (options) => {
      const payload = { bytes, sha256: sha256Of(bytes).toString('hex') }
      const ofBody = { 'content-length': '100', 'content-md5': md5Of(bytes).toString('base64') }
      const answer = await bucket.bareDirect('PUT', key, { ...ofBody, ...headers }, { ...options, payload })
      answer.body.resume()
      return answer.headers
    })
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    // What the bucket itself has noted of keys names its own remedy.
    const isAnswer = error.cause !== undefined && errorCode(error.cause) !== undefined
    const remedy = isAnswer ? REMEDIES[encryption.type] : (error.remedy ?? REMEDIES[encryption.type])
    const detail = isAnswer ? `a put with ${encryption.type} is refused: ${error.said}` : error.withoutRemedy
    return [problem(NAME, detail, remedy, [iamPolicy(probe)])]
  }
  const findings = await judge(probe, encryption, key, said)
  // After a problem nothing else is tried, and nothing cleared up.
  if (findings.some(({ critical }) => critical)) await refusalOf(() => deleteS3(bucket, [own], undefined))
  return findings
}

async function judge(
  probe: Probe,
  encryption: S3Encryption,
  key: string,
  said: Record<string, string>,
): Promise<ProbeFinding[]> {
  const asked = describeEncryption(encryption)
  const lack = lackOf(encryption, said)
  probe.traits.encryptsAsAsked = lack === null
  if (encryption.type === 'sse-c') {
    if (lack !== null) return [problem(NAME, lack, REMEDIES['sse-c'])]
    const opened = await openedByOthers(probe, key)
    probe.traits.encryptsAsAsked = opened === null
    if (opened !== null) return [problem(NAME, opened, 'do not use SSE-C at this service')]
    return [
      noProblem(NAME, `${asked}: what is put is read with its key, and refused without and with another`),
    ]
  }
  return [
    lack === null
      ? noProblem(NAME, `${asked}: the service says so of what is put`)
      : drawback(NAME, lack, NOT_ENCRYPTED),
  ]
}

/** What the answer to a put says otherwise than was asked for; null: nothing. */
function lackOf(encryption: S3Encryption, said: Record<string, string>): string | null {
  const found = said[HEADER]
  switch (encryption.type) {
    case 'sse-s3':
      return found === 'AES256'
        ? null
        : 'the service does not encrypt as it was asked to (SSE-S3), or does not say so'
    case 'sse-kms': {
      if (!found?.startsWith('aws:kms'))
        return 'the service does not encrypt as it was asked to (SSE-KMS), or does not say so'
      const { keyId } = encryption
      const used = said[`${HEADER}-aws-kms-key-id`]
      // An alias is answered with the key that it stands for.
      if (keyId === null || keyId.includes('alias/') || used === undefined) return null
      return lastPart(used) === lastPart(keyId)
        ? null
        : `the service encrypts with the key ${used}, not with ${keyId}`
    }
    case 'sse-c':
      return said[`${HEADER}-customer-key-md5`] === customerKeyOf(encryption.key).md5
        ? null
        : 'the service does not encrypt with the key that it is given (SSE-C)'
  }
}

const lastPart = (id: string) => id.slice(id.lastIndexOf('/') + 1)

/** A service that gives anything for another key would make right files look wrong. */
async function openedByOthers({ bucket }: Probe, fullKey: string): Promise<string | null> {
  const other = customerKeyHeaders(customerKeyOf(randomBytes(CUSTOMER_KEY_BYTES)))
  for (const [what, headers] of [
    ['without its key', {}],
    ['with another key', other],
  ] as const) {
    const refusal = await refusalOf(() =>
      bucket.call('GetObject of the probe', undefined, async (options) => {
        const { body } = await bucket.bareDirect('GET', fullKey, headers, options)
        body.resume()
      }),
    )
    if (refusal === null) return `what was put with a key is given ${what} as well`
  }
  return null
}
