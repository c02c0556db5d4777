import { createHash, randomBytes } from 'node:crypto'
import { assertKeyOfUpload, encryptionHeaders, isOpaque } from '../../objects/encryption.ts'
import type { PartRecord } from '../../objects/object-store.ts'
import { type BucketCall, type Reply, xmlReply } from '../../requests/call.ts'
import { startChecksum } from '../../wire/checksums.ts'
import { parseRange } from '../../wire/range.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { findCopySource } from '../objects/copy-object.ts'
import { readVersion } from '../objects/get-object.ts'
import { findUpload } from './upload-parts.ts'

/** UploadPartCopy. https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html */
export async function uploadPartCopy(call: BucketCall): Promise<Reply> {
  if (call.profile.copyFails) throw new S3Error('InternalError')
  const number = Number(call.query.get('partNumber'))
  if (!Number.isInteger(number) || number < 1 || number > call.profile.maxParts) {
    throw new S3Error('InvalidArgument', { details: { ArgumentName: 'partNumber' } })
  }
  const { upload } = await findUpload(call)
  assertKeyOfUpload(call, upload)
  const { version } = await findCopySource(call)
  const asked = call.headers.get('x-amz-copy-source-range')
  const slice = asked === undefined ? { start: 0, end: version.size - 1 } : parseRange(asked, version.size)
  if (!slice) {
    throw new S3Error('InvalidArgument', {
      message: 'The x-amz-copy-source-range value must be of the form bytes=first-last',
    })
  }
  const algorithm = upload.checksumAlgorithm
  const md5 = createHash('md5')
  const checksum = algorithm ? startChecksum(algorithm) : null
  const writer = await call.store.createBlob()
  try {
    for await (const chunk of readVersion(call.store, version, slice)) {
      md5.update(chunk)
      checksum?.update(chunk)
      await writer.write(chunk)
    }
  } catch (error) {
    await writer.discard()
    throw error
  }
  const blob = await writer.finish()
  const part: PartRecord = {
    number,
    size: blob.size,
    etag: isOpaque(upload.encryption) ? randomBytes(16).toString('hex') : md5.digest('hex'),
    uploadedAt: call.now.toISOString(),
    blob,
    checksums: algorithm && checksum ? { [algorithm]: checksum.digest().toString('base64') } : {},
  }
  if (!(await call.store.writePart(upload.id, part))) {
    await call.store.discardBlob(call.bucketName, call.key, blob)
    throw new S3Error('NoSuchUpload')
  }
  return xmlReply(
    writeXml('CopyPartResult', { LastModified: part.uploadedAt, ETag: `"${part.etag}"` }),
    encryptionHeaders(upload.encryption),
  )
}
