/** Every operation and the function that carries it out. */

import type { OperationName } from '../operation-names.ts'
import type { BucketCall, Call, Reply } from '../requests/call.ts'
import { getObjectLockConfiguration, putObjectLockConfiguration } from './buckets/bucket-lock.ts'
import {
  deleteBucketCors,
  deleteBucketLifecycle,
  getBucketCors,
  getBucketLifecycle,
  getBucketVersioning,
  putBucketCors,
  putBucketLifecycle,
  putBucketVersioning,
} from './buckets/bucket-settings.ts'
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  headBucket,
  listBuckets,
  unsupported,
} from './buckets/buckets.ts'
import { listObjects, listObjectsV2 } from './buckets/list-objects.ts'
import { listObjectVersions } from './buckets/list-versions.ts'
import { completeMultipartUpload } from './multipart/complete-upload.ts'
import { uploadPartCopy } from './multipart/copy-part.ts'
import {
  abortMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './multipart/upload-parts.ts'
import { copyObject } from './objects/copy-object.ts'
import { deleteObject } from './objects/delete-object.ts'
import { deleteObjects } from './objects/delete-objects.ts'
import { getObject } from './objects/get-object.ts'
import { putObject } from './objects/put-object.ts'
import { restoreObject } from './objects/restore-object.ts'
import {
  getObjectLegalHold,
  getObjectRetention,
  putObjectLegalHold,
  putObjectRetention,
} from './objects/retention.ts'

/** Operations that need no bucket. */
export const serviceOperations: Partial<Record<OperationName, (call: Call) => Promise<Reply>>> = {
  ListBuckets: listBuckets,
  CreateBucket: createBucket,
  Unsupported: unsupported,
}

/** Operations on a bucket that exists. */
export const bucketOperations: Partial<Record<OperationName, (call: BucketCall) => Promise<Reply>>> = {
  HeadBucket: headBucket,
  DeleteBucket: deleteBucket,
  GetBucketLocation: getBucketLocation,
  GetBucketVersioning: getBucketVersioning,
  PutBucketVersioning: putBucketVersioning,
  GetBucketLifecycleConfiguration: getBucketLifecycle,
  PutBucketLifecycleConfiguration: putBucketLifecycle,
  DeleteBucketLifecycle: deleteBucketLifecycle,
  GetBucketCors: getBucketCors,
  PutBucketCors: putBucketCors,
  DeleteBucketCors: deleteBucketCors,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  ListMultipartUploads: listMultipartUploads,
  DeleteObjects: deleteObjects,
  HeadObject: getObject,
  GetObject: getObject,
  PutObject: putObject,
  CopyObject: copyObject,
  DeleteObject: deleteObject,
  CreateMultipartUpload: createMultipartUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  ListParts: listParts,
  CompleteMultipartUpload: completeMultipartUpload,
  AbortMultipartUpload: abortMultipartUpload,
  RestoreObject: restoreObject,
  PutObjectRetention: putObjectRetention,
  GetObjectRetention: getObjectRetention,
  PutObjectLegalHold: putObjectLegalHold,
  GetObjectLegalHold: getObjectLegalHold,
  GetObjectLockConfiguration: getObjectLockConfiguration,
  PutObjectLockConfiguration: putObjectLockConfiguration,
}
