/** Object Lock of a bucket: whether it is on, and what is locked without being asked for. */
import { versioningOf } from '../../objects/versions.ts'
import { type BucketCall, emptyReply, type Reply, xmlReply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'

const DAYS_A_YEAR = 365

/** Only a versioned bucket can have it. It is never switched off again. */
export async function putObjectLockConfiguration(call: BucketCall): Promise<Reply> {
  const request = await readXmlBody(call, 'ObjectLockConfiguration', { needsDigest: true })
  if (request.textOf('ObjectLockEnabled')?.trim() !== 'Enabled') throw new S3Error('MalformedXML')
  if (versioningOf(call.bucket, call.profile) !== 'Enabled') {
    throw new S3Error('InvalidBucketState', {
      message: "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
    })
  }
  const rule = request.children('Rule')[0]?.children('DefaultRetention')[0]
  if (!rule) {
    await call.store.writeBucket({ ...call.bucket, objectLock: {} })
    return emptyReply(200)
  }
  const mode = rule.textOf('Mode')?.trim()
  const [days, years] = ['Days', 'Years'].map((name) => rule.textOf(name)?.trim())
  const count = Number(days ?? years)
  const isOne = (days === undefined) !== (years === undefined)
  if ((mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE') || !isOne || !Number.isInteger(count) || count < 1)
    throw new S3Error('MalformedXML')
  const objectLock = { default: { mode, days: days === undefined ? count * DAYS_A_YEAR : count } } as const
  await call.store.writeBucket({ ...call.bucket, objectLock })
  return emptyReply(200)
}

export async function getObjectLockConfiguration(call: BucketCall): Promise<Reply> {
  const { objectLock } = call.bucket
  if (objectLock == null) throw new S3Error('ObjectLockConfigurationNotFoundError')
  const rule = objectLock.default
  return xmlReply(
    writeXml('ObjectLockConfiguration', {
      ObjectLockEnabled: 'Enabled',
      Rule: rule && { DefaultRetention: { Mode: rule.mode, Days: rule.days } },
    }),
  )
}
