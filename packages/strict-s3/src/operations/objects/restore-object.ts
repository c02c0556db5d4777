import { archiveNow, archiveState } from '../../objects/archive.ts'
import { pickVersion } from '../../objects/versions.ts'
import { type BucketCall, emptyReply, type Reply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { readXmlBody } from '../read-xml-body.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** How long a restore takes, at most; AWS offers no Expedited for DEEP_ARCHIVE. */
const durationsMs: Record<string, Record<string, number>> = {
  GLACIER: { Expedited: 5 * 60_000, Standard: 5 * hourMs, Bulk: 12 * hourMs },
  DEEP_ARCHIVE: { Standard: 12 * hourMs, Bulk: 48 * hourMs },
}

/**
 * 202: the restore begins; 200: there is a copy already, and it stays for that many days from now; 409: one
 * is under way. https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
 */
export async function restoreObject(call: BucketCall): Promise<Reply> {
  if (call.profile.noRestores) throw new S3Error('NotImplemented')
  const request = await readXmlBody(call, 'RestoreRequest')
  const days = Number(request.textOf('Days') ?? Number.NaN)
  if (!Number.isInteger(days) || days < 1) throw new S3Error('MalformedXML')
  const tier = request.children('GlacierJobParameters')[0]?.textOf('Tier') ?? 'Standard'
  let status = 202
  await call.store.updateRecord(call.bucketName, call.key, (versions) => {
    const version = pickVersion(versions, call.query.get('versionId'))
    const state = archiveState(call, version)
    if (state === 'readable' && call.profile.restoresAnything) return versions
    if (state === 'readable') {
      throw new S3Error('InvalidObjectState', {
        message: "Restore is not allowed for the object's current storage class",
        details: { StorageClass: version.storageClass },
      })
    }
    if (state === 'ongoing') throw new S3Error('RestoreAlreadyInProgress')
    const durationMs = durationsMs[version.storageClass]?.[tier]
    if (durationMs === undefined) {
      throw new S3Error('InvalidArgument', {
        message: `The retrieval option ${tier} is not offered for the storage class ${version.storageClass}`,
        details: { ArgumentName: 'Tier' },
      })
    }
    if (state === 'restored') status = 200
    const readyAt =
      state === 'restored' ? Date.parse(version.restore!.readyAt) : archiveNow(call) + durationMs
    // The copy stays until the midnight after its days.
    const keptUntil = Math.ceil((Math.max(readyAt, archiveNow(call)) + days * dayMs) / dayMs) * dayMs
    const restore = {
      readyAt: new Date(readyAt).toISOString(),
      expiresAt: new Date(keptUntil).toISOString(),
    }
    return versions.map((one) => (one === version ? { ...one, restore } : one))
  })
  return emptyReply(status)
}
