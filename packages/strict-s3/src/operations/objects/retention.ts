/** Retention and legal hold of one version: ?retention and ?legal-hold. */
import { assertMayRetain, readHold, readRetention, requireObjectLock } from '../../objects/object-lock.ts'
import type { ObjectVersion } from '../../objects/object-store.ts'
import { pickVersion } from '../../objects/versions.ts'
import { type BucketCall, emptyReply, type Reply, xmlReply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html */
export async function putObjectRetention(call: BucketCall): Promise<Reply> {
  requireObjectLock(call.bucket)
  const request = await readXmlBody(call, 'Retention', { needsDigest: true })
  const mode = request.textOf('Mode')?.trim()
  const until = request.textOf('RetainUntilDate')?.trim()
  if ((mode === undefined) !== (until === undefined)) throw new S3Error('MalformedXML')
  const retention =
    mode === undefined || until === undefined ? undefined : readRetention(mode, until, call.now)
  await changeVersion(call, (version) => {
    assertMayRetain(call, version, retention)
    const { retention: _, ...rest } = version
    return retention === undefined ? rest : { ...rest, retention }
  })
  return emptyReply(200)
}

export async function getObjectRetention(call: BucketCall): Promise<Reply> {
  requireObjectLock(call.bucket)
  const { retention } = await versionOf(call)
  if (!retention) throw new S3Error('NoSuchObjectLockConfiguration')
  return xmlReply(writeXml('Retention', { Mode: retention.mode, RetainUntilDate: retention.until }))
}

export async function putObjectLegalHold(call: BucketCall): Promise<Reply> {
  requireObjectLock(call.bucket)
  const request = await readXmlBody(call, 'LegalHold', { needsDigest: true })
  const legalHold = readHold(request.textOf('Status')?.trim() ?? '')
  await changeVersion(call, (version) => ({ ...version, legalHold }))
  return emptyReply(200)
}

export async function getObjectLegalHold(call: BucketCall): Promise<Reply> {
  requireObjectLock(call.bucket)
  const { legalHold } = await versionOf(call)
  if (legalHold === undefined) throw new S3Error('NoSuchObjectLockConfiguration')
  return xmlReply(writeXml('LegalHold', { Status: legalHold ? 'ON' : 'OFF' }))
}

async function versionOf({ store, bucketName, key, query }: BucketCall): Promise<ObjectVersion> {
  return pickVersion((await store.readRecord(bucketName, key))?.versions ?? [], query.get('versionId'))
}

async function changeVersion(
  { store, bucketName, key, query }: BucketCall,
  change: (version: ObjectVersion) => ObjectVersion,
): Promise<void> {
  await store.updateRecord(bucketName, key, (versions) => {
    const version = pickVersion(versions, query.get('versionId'))
    return versions.map((one) => (one === version ? change(one) : one))
  })
}
