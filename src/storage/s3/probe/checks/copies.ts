import { CopyObjectCommand } from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { retryUnavailable } from '../../../guards/with-retry.ts'
import { drawback, noProblem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { errorStatus } from '../../requests/errors.ts'
import { sourceOf } from '../../writes/copy.ts'
import { headRaw, type Probe, putRaw, readRaw, someBytes } from './probing.ts'

/** Some services answer a copy with 500 now and then. */
const COPY_RETRY = { attempts: 3, delayMs: 300 }
const REMEDY =
  'only rules of storage.classes need copies, and these do nothing here: leave the rules out, or let fresh files have their class at once (class)'

/** A copy within the bucket holds the bytes of its source: what rules of storage.classes move files by. */
export async function checkCopies(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const [source, copy] = [probe.key('copy-source'), probe.key('copy')]
  const bytes = someBytes(1000)
  await putRaw(probe, source, bytes)
  const command = new CopyObjectCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(copy),
    CopySource: sourceOf(bucket, source),
  })
  let refusal: string | null = null
  try {
    await retryUnavailable(COPY_RETRY, () =>
      bucket.call(`CopyObject of ${source}`, undefined, (options) => bucket.client.send(command, options)),
    )
  } catch (error) {
    // A 500 three times is this service's answer to copies; silence, or a wish for fewer requests, is none.
    const isAnswer =
      isStorageError(error) && (error.kind !== 'unavailable' || errorStatus(error.cause) === 500)
    if (!isAnswer) throw error
    refusal = error.said
  }
  if (refusal === null && !(await readRaw(probe, copy)).bytes.equals(bytes))
    refusal = 'the copy holds other bytes than its source'
  const { encryption } = bucket.settings
  if (refusal === null && encryption?.type === 'sse-c') {
    // Ceph 16 copies what was put without a key, and leaves it so.
    const { SSECustomerAlgorithm } = await headRaw(probe, copy)
    if (SSECustomerAlgorithm === undefined) refusal = 'the copy is not encrypted with the key (SSE-C)'
  }
  probe.traits.copies = refusal === null
  probe.features.copies = refusal === null
  return [
    refusal === null ? noProblem('copies', 'made within the bucket') : drawback('copies', refusal, REMEDY),
  ]
}
