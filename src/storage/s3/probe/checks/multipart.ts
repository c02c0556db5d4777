import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { digestsOf } from '../../../bytes/digest.ts'
import { drawback, noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { mayBeMd5, plainEtag } from '../../reads/object-info.ts'
import { errorCode } from '../../requests/errors.ts'
import { compositeEtag } from '../../writes/upload.ts'
import { iamPolicy, lifecycleRules } from './paste.ts'
import { headRaw, md5Of, type Probe, readRaw, refusalOf, someBytes } from './probing.ts'

/** The least that AWS takes as a part that is not the last. */
const LEAST_PART_BYTES = 5 * 1024 * 1024

/** No larger than the parts that are sent later. */
const partBytesOf = ({ bucket }: Probe) => Math.min(LEAST_PART_BYTES, bucket.partBytes)

/**
 * Parts become one object; what its ETag and checksum say; whether it can overwrite; whether an abort leaves
 * nothing.
 */
export async function checkMultipart(probe: Probe): Promise<ProbeFinding[]> {
  const key = probe.key('multipart')
  const partBytes = partBytesOf(probe)
  const parts = [someBytes(partBytes), someBytes(1000)]
  const whole = Buffer.concat(parts)
  let takesCondition = false
  try {
    const uploadId = await begin(probe, key)
    const etags = [
      await sendPart(probe, key, uploadId, 1, parts[0]!),
      await sendPart(probe, key, uploadId, 2, parts[1]!),
    ]
    const conditional = await refusalOf(() => complete(probe, key, uploadId, etags, { IfNoneMatch: '*' }))
    // Some take no condition here at all; then a refused second one would say nothing.
    if (conditional !== null) await complete(probe, key, uploadId, etags)
    takesCondition = conditional === null
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    probe.features.multipart = null
    probe.traits.multipart = false
    const remedy = 'files of more than a few GB need multipart uploads: allow them'
    const isPermission = errorCode(error.cause) === 'AccessDenied'
    return [problem('multipart', error.said, remedy, isPermission ? [iamPolicy(probe)] : undefined)]
  }
  const head = await headRaw(probe, key, probe.features.attestedDigests.includes('crc64nvme'))
  const last = await readRaw(probe, key, `bytes=${partBytes - 1}-${partBytes}`)
  if (
    head.ContentLength !== whole.length ||
    !last.bytes.equals(whole.subarray(partBytes - 1, partBytes + 1))
  ) {
    return [problem('multipart', 'the parts did not become the whole', 'do not use this service for videos')]
  }
  if (probe.bucket.settings.encryption?.type === 'sse-c' && head.SSECustomerAlgorithm === undefined) {
    const detail = 'what is put in parts is not encrypted with the key that it is given (SSE-C)'
    return [problem('multipart', detail, 'do not use SSE-C at this service')]
  }
  const findings = [noProblem('multipart', 'two parts became one object')]
  probe.traits.multipart = true

  const isMd5OfParts =
    plainEtag(head.ETag) === compositeEtag(parts.map((part) => ({ md5: md5Of(part) }))) && mayBeMd5(head)
  const crc = Buffer.from(digestsOf(whole, ['crc64nvme'])[0]!.value, 'hex').toString('base64')
  const hasCrc = head.ChecksumCRC64NVME === crc && head.ChecksumType !== 'COMPOSITE'
  probe.features.multipartEtagIsMd5OfParts = isMd5OfParts
  probe.traits.multipartEtagIsMd5OfParts = isMd5OfParts
  if (isMd5OfParts)
    findings.push(noProblem('multipart-etag', 'made of the MD5s of the parts, so it speaks for the whole'))
  else if (hasCrc)
    findings.push(noProblem('multipart-etag', 'says nothing; the CRC64NVME of the whole speaks instead'))
  else {
    const remedy = 'large files are read back once to be proven, at the price of their download'
    findings.push(
      drawback('multipart-etag', 'nothing that is reported speaks for a multipart object', remedy),
    )
  }
  findings.push(await checkSecondComplete(probe, key, takesCondition))
  return findings
}

/** Parts of different sizes, which Glassine never sends; a client that uploads by itself might. */
export async function checkUnequalParts(probe: Probe): Promise<ProbeFinding[]> {
  const name = 'unequal-parts'
  const key = probe.key('unequal-parts')
  const partBytes = partBytesOf(probe)
  const uploadId = await begin(probe, key)
  const etags = [
    await sendPart(probe, key, uploadId, 1, someBytes(partBytes)),
    await sendPart(probe, key, uploadId, 2, someBytes(partBytes + 1)),
    await sendPart(probe, key, uploadId, 3, someBytes(1)),
  ]
  const refusal = await refusalOf(() => complete(probe, key, uploadId, etags))
  probe.traits.takesUnequalParts = refusal === null
  if (refusal === null) return [noProblem(name, 'accepted')]
  await refusalOf(() => abort(probe, key, uploadId))
  return [noProblem(name, 'refused, as long as all but the last are not of one size; those of Glassine are')]
}

async function checkSecondComplete(
  probe: Probe,
  key: string,
  takesCondition: boolean,
): Promise<ProbeFinding> {
  const other = someBytes(1000)
  const uploadId = await begin(probe, key)
  const etag = await sendPart(probe, key, uploadId, 1, other)
  const refusal = await refusalOf(() => complete(probe, key, uploadId, [etag], { IfNoneMatch: '*' }))
  probe.features.conditionalComplete = takesCondition && refusal !== null && (await isWholeStill(probe, key))
  probe.traits.conditionalComplete = probe.features.conditionalComplete
  await refusalOf(() => abort(probe, key, uploadId))
  if (probe.features.conditionalComplete) return noProblem('second-complete', 'refused')
  const remedy = 'nothing to do: keys are random and used once, and Glassine looks before it completes'
  const detail = takesCondition
    ? 'overwrites: If-None-Match does not count for parts'
    : 'If-None-Match is not known'
  return drawback('second-complete', detail, remedy)
}

async function isWholeStill(probe: Probe, key: string): Promise<boolean> {
  return (await headRaw(probe, key)).ContentLength === partBytesOf(probe) + 1000
}

/** Does an abort leave anything that is billed? */
export async function checkAbort(probe: Probe): Promise<ProbeFinding[]> {
  const key = probe.key('aborted')
  const uploadId = await begin(probe, key)
  await sendPart(probe, key, uploadId, 1, someBytes(1000))
  await abort(probe, key, uploadId)
  const { bucket } = probe
  const command = new ListPartsCommand({ ...at(probe, key), UploadId: uploadId })
  const list = () => bucket.call('ListParts', undefined, (options) => bucket.client.send(command, options))
  const left = await list().then(
    ({ Parts }) => Parts?.length ?? 0,
    (error: unknown) => {
      if (isStorageError(error) && error.kind !== 'unavailable') return 0
      throw error
    },
  )
  probe.traits.abortLeavesNothing = left === 0
  if (left === 0) return [noProblem('abort', 'an aborted upload leaves no parts')]
  const remedy = 'add a lifecycle rule that aborts incomplete multipart uploads after a day'
  const paste = [lifecycleRules(probe, { abortsUploads: true })]
  return [drawback('abort', 'the parts of an aborted upload stay, and are billed', remedy, paste)]
}

function at({ bucket }: Probe, key: string): { Bucket: string; Key: string } {
  return { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key) }
}

async function begin(probe: Probe, key: string): Promise<string> {
  const { bucket } = probe
  const command = new CreateMultipartUploadCommand(at(probe, key))
  const { UploadId } = await bucket.call('CreateMultipartUpload', undefined, (options) =>
    bucket.client.send(command, options),
  )
  return UploadId ?? ''
}

async function sendPart(
  probe: Probe,
  key: string,
  uploadId: string,
  number: number,
  bytes: Buffer,
): Promise<string> {
  const { bucket } = probe
  const command = new UploadPartCommand({
    ...at(probe, key),
    UploadId: uploadId,
    PartNumber: number,
    Body: bytes,
    ContentLength: bytes.length,
    ContentMD5: md5Of(bytes).toString('base64'),
  })
  const { ETag } = await bucket.call('UploadPart', undefined, (options) =>
    bucket.client.send(command, options),
  )
  return ETag ?? ''
}

async function complete(
  probe: Probe,
  key: string,
  uploadId: string,
  etags: string[],
  more: { IfNoneMatch?: string } = {},
): Promise<void> {
  const { bucket } = probe
  const command = new CompleteMultipartUploadCommand({
    ...at(probe, key),
    UploadId: uploadId,
    MultipartUpload: { Parts: etags.map((ETag, index) => ({ PartNumber: index + 1, ETag })) },
    ...more,
  })
  await bucket.call('CompleteMultipartUpload', undefined, (options) => bucket.client.send(command, options))
}

async function abort(probe: Probe, key: string, uploadId: string): Promise<void> {
  const { bucket } = probe
  const command = new AbortMultipartUploadCommand({ ...at(probe, key), UploadId: uploadId })
  await bucket.call('AbortMultipartUpload', undefined, (options) => bucket.client.send(command, options))
}
