/** Permissions: everything is allowed but what the profile denies. */
import type { StrictProfile } from '../profiles.ts'

/** The IAM action that each operation needs, where it is not of the operation's own name. */
const actions: Record<string, string> = {
  ListObjects: 'ListBucket',
  ListObjectsV2: 'ListBucket',
  HeadBucket: 'ListBucket',
  ListObjectVersions: 'ListBucketVersions',
  HeadObject: 'GetObject',
  CreateMultipartUpload: 'PutObject',
  UploadPart: 'PutObject',
  UploadPartCopy: 'PutObject',
  CompleteMultipartUpload: 'PutObject',
  CopyObject: 'PutObject',
  ListParts: 'ListMultipartUploadParts',
  ListMultipartUploads: 'ListBucketMultipartUploads',
  ListBuckets: 'ListAllMyBuckets',
  GetBucketLifecycleConfiguration: 'GetLifecycleConfiguration',
  PutBucketLifecycleConfiguration: 'PutLifecycleConfiguration',
  DeleteBucketLifecycle: 'PutLifecycleConfiguration',
  GetBucketCors: 'GetBucketCORS',
  PutBucketCors: 'PutBucketCORS',
  DeleteBucketCors: 'PutBucketCORS',
}

/**
 * Whether the profile denies the operation, by its own name or by that of the action it needs; `s3:` in front
 * or not. So `PutObject` denies multipart uploads too, as a bucket policy would.
 */
export function isDenied(profile: StrictProfile, operation: string): boolean {
  const action = actions[operation] ?? operation
  return profile.denied.some((denied) => {
    const name = denied.replace(/^s3:/, '')
    return name === operation || name === action
  })
}
