import { type BucketCall, type Reply, xmlReply } from '../../requests/call.ts'
import { isDenied } from '../../requests/denied.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml, type XmlElements } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'
import { deleteOne } from './delete-object.ts'

const maxKeys = 1000

/** Always 200 when the request itself was right: what failed stands in `Error` elements. */
export async function deleteObjects(call: BucketCall): Promise<Reply> {
  if (call.profile.noDeleteObjects) throw new S3Error('NotImplemented')
  const request = await readXmlBody(call, 'Delete', { needsDigest: !call.profile.ignoreChecksums })
  const objects = request.children('Object').map((node) => ({
    key: node.textOf('Key') ?? '',
    versionId: node.textOf('VersionId') || undefined,
    etag: node.textOf('ETag') || undefined,
  }))
  if (objects.length === 0 || objects.length > maxKeys || objects.some(({ key }) => key === '')) {
    throw new S3Error('MalformedXML')
  }
  const isQuiet = request.textOf('Quiet')?.trim() === 'true'
  const deleted: XmlElements[] = []
  const errors: XmlElements[] = []
  for (const { key, versionId, etag } of objects) {
    try {
      if (isDenied(call.profile, versionId === undefined ? 'DeleteObject' : 'DeleteObjectVersion')) {
        throw new S3Error('AccessDenied')
      }
      const done = await deleteOne(call, key, versionId, etag)
      if (!isQuiet) {
        deleted.push({
          Key: key,
          VersionId: versionId,
          DeleteMarker: done.deleteMarker || undefined,
          DeleteMarkerVersionId: done.markerVersionId ?? undefined,
        })
      }
    } catch (error) {
      if (!(error instanceof S3Error)) throw error
      errors.push({ Key: key, VersionId: versionId, Code: error.code, Message: error.message })
    }
  }
  return xmlReply(writeXml('DeleteResult', { Deleted: deleted, Error: errors }))
}
