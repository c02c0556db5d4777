/** Buckets themselves: list, create, remove, where they are. */
import { type BucketCall, type Call, emptyReply, type Reply, xmlReply } from '../../requests/call.ts'
import { S3Error } from '../../wire/s3-error.ts'
import { writeXml } from '../../wire/xml.ts'
import { readXmlBody } from '../read-xml-body.ts'
import { listedTime, owner } from './list-objects.ts'

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, the main ones. */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !name.includes('..') &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(name)
  )
}

export async function listBuckets(call: Call): Promise<Reply> {
  const buckets = await call.store.listBuckets()
  return xmlReply(
    writeXml('ListAllMyBucketsResult', {
      Owner: owner,
      Buckets: {
        Bucket: buckets.map((bucket) => ({ Name: bucket.name, CreationDate: listedTime(bucket.createdAt) })),
      },
    }),
  )
}

export async function createBucket(call: Call): Promise<Reply> {
  if (!isBucketName(call.bucketName)) throw new S3Error('InvalidBucketName')
  if (Number(call.headers.get('content-length') ?? 0) > 0) {
    const configuration = await readXmlBody(call, 'CreateBucketConfiguration')
    const constraint = configuration.textOf('LocationConstraint')?.trim()
    if (constraint && constraint !== call.region && !call.profile.anyRegion) {
      throw new S3Error('InvalidArgument', {
        message: `The ${constraint} location constraint is incompatible.`,
      })
    }
  }
  if (await call.store.readBucket(call.bucketName)) throw new S3Error('BucketAlreadyOwnedByYou')
  const hasLock = call.headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true'
  await call.store.writeBucket({
    name: call.bucketName,
    createdAt: call.now.toISOString(),
    versioning: hasLock ? 'Enabled' : 'off',
    cors: null,
    lifecycle: null,
    objectLock: hasLock ? {} : null,
  })
  return emptyReply(200, { location: `/${call.bucketName}` })
}

export async function deleteBucket(call: BucketCall): Promise<Reply> {
  for await (const _record of call.store.records(call.bucketName, { prefix: '', from: null })) {
    throw new S3Error('BucketNotEmpty')
  }
  await call.store.removeBucket(call.bucketName)
  return emptyReply(204)
}

export async function headBucket(call: BucketCall): Promise<Reply> {
  return emptyReply(200, { 'x-amz-bucket-region': call.region, 'content-type': 'application/xml' })
}

/** `us-east-1` is said by saying nothing. */
export async function getBucketLocation(call: BucketCall): Promise<Reply> {
  return xmlReply(
    `<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${call.region === 'us-east-1' ? '' : call.region}</LocationConstraint>`,
  )
}

const absent: Record<string, 'NoSuchBucketPolicy' | 'NoSuchTagSet' | 'NoSuchPublicAccessBlockConfiguration'> =
  {
    policy: 'NoSuchBucketPolicy',
    policyStatus: 'NoSuchBucketPolicy',
    tagging: 'NoSuchTagSet',
    publicAccessBlock: 'NoSuchPublicAccessBlockConfiguration',
  }

/**
 * What is not played says so: 404 for a configuration that a bucket need not have, 405 or 501 for the rest.
 */
export async function unsupported(call: Call): Promise<Reply> {
  if (call.method === 'GET' && call.key === '') {
    for (const [name, code] of Object.entries(absent)) if (call.query.has(name)) throw new S3Error(code)
  }
  if (['GET', 'PUT', 'POST', 'DELETE', 'HEAD'].includes(call.method) && call.query.size > 0) {
    throw new S3Error('NotImplemented')
  }
  throw new S3Error('MethodNotAllowed', {
    details: { Method: call.method, ResourceType: call.key ? 'OBJECT' : 'BUCKET' },
  })
}
