/** Every operation and the function that carries it out. */
import type { BucketCall, Call, Reply } from '../call.ts'
import type { OperationName } from '../route.ts'
import {
  deleteBucketCors,
  deleteBucketLifecycle,
  getBucketCors,
  getBucketLifecycle,
  getBucketVersioning,
  putBucketCors,
  putBucketLifecycle,
  putBucketVersioning,
} from './bucket-settings.ts'
import {
  createBucket,
  deleteBucket,
  getBucketLocation,
  headBucket,
  listBuckets,
  unsupported,
} from './buckets.ts'
import { completeMultipartUpload } from './complete-upload.ts'
import { copyObject } from './copy-object.ts'
import { uploadPartCopy } from './copy-part.ts'
import { deleteObject } from './delete-object.ts'
import { deleteObjects } from './delete-objects.ts'
import { getObject } from './get-object.ts'
import { listObjects, listObjectsV2 } from './list-objects.ts'
import { listObjectVersions } from './list-versions.ts'
import { putObject } from './put-object.ts'
import { restoreObject } from './restore-object.ts'
import {
  abortMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './upload-parts.ts'

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
}
