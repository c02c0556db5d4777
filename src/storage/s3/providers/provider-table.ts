/**
 * One entry for each S3 service that is known; see `provider.ts` for what the fields mean and who reads them.
 */
import type { S3Provider } from './provider.ts'

const KIB = 1024
const GIB = 1024 ** 3

/** What most services do, and what an unknown one is taken to do until its probe says otherwise. */
export const ordinary = {
  host: null,
  forcePathStyle: true,
  deleteObjects: true,
  deleteVersions: false,
  maxParts: 10_000,
  maxPutBytes: 5 * GIB,
  hasLifecycle: true,
  hasCors: true,
  region: null,
  equalParts: false,
  checksumHeader: 'content-md5',
  writesPerKeyPerSecond: null,
  minimumStorageDays: 0,
  minimumBilledBytes: 0,
  expects: {},
  notes: [],
} satisfies Omit<S3Provider, 'name' | 'title'>

/** Amazon's own semantics, which Ceph and others follow in all that they do at all. */
const asAws = {
  refusesWrongMd5: true,
  refusesWrongSha256: true,
  refusesCutPut: true,
  multipart: true,
  takesUnequalParts: true,
  listsInOrder: true,
  presignedPutBound: true,
  presignedExpires: true,
} as const

export const s3Providers: readonly S3Provider[] = [
  {
    ...ordinary,
    name: 'aws',
    title: 'Amazon S3',
    host: /(^|\.)amazonaws\.com(\.cn)?$/,
    // Path style is deprecated: docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    forcePathStyle: false,
    expects: {
      ...asAws,
      // docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
      conditionalPut: true,
      conditionalComplete: true,
      // docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
      refusesWrongChecksum: true,
      reportsSha256: true,
      reportsCrc64nvme: true,
      deletesMany: true,
      abortLeavesNothing: true,
      presignedGet: true,
      refusesDoubleAuthentication: true,
    },
    notes: [
      // docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
      'With SSE-KMS an ETag is no MD5; checksums speak instead.',
      // aws.amazon.com/s3/storage-classes: the cold classes, not the default one.
      'STANDARD_IA bills 30 days, GLACIER_IR and GLACIER 90, DEEP_ARCHIVE 180; the first two at least 128 KB an object, the archives 40 KB more.',
    ],
  },
  {
    ...ordinary,
    name: 'r2',
    title: 'Cloudflare R2',
    host: /\.r2\.cloudflarestorage\.com$/,
    // developers.cloudflare.com/r2/api/s3/api/#bucket-region
    region: 'auto',
    // developers.cloudflare.com/r2/objects/multipart-objects/#limitations
    equalParts: true,
    // developers.cloudflare.com/r2/platform/limits
    writesPerKeyPerSecond: 1,
    expects: {
      conditionalPut: true,
      etagIsMd5: true,
      takesUnequalParts: false,
      // rclone backend/s3/provider/Cloudflare.yaml: use_multipart_etag false
      multipartEtagIsMd5OfParts: false,
      // juicefs.com/docs/community/reference/how_to_set_up_object_storage (R2: lists may be unsorted)
      listsInOrder: false,
      keepsDeleted: false,
    },
    notes: [
      'No versioning, no object tags, no ACLs.',
      'Presigned URLs work on the account endpoint, not on a custom domain.',
    ],
  },
  {
    ...ordinary,
    name: 'b2',
    title: 'Backblaze B2',
    host: /\.backblazeb2\.com$/,
    // backblaze.com/docs/cloud-storage-file-versions: a delete without a version id only hides
    deleteVersions: true,
    expects: { etagIsMd5: true, multipartEtagIsMd5OfParts: false, multipart: true },
    notes: [
      'Every bucket is versioned; Glassine deletes all versions of a key.',
      // backblaze.com/docs/cloud-storage-s3-compatible-api
      'No object tags, and ACLs of the bucket only.',
    ],
  },
  {
    ...ordinary,
    name: 'wasabi',
    title: 'Wasabi',
    host: /\.wasabisys\.com$/,
    // docs.wasabi.com/docs/how-does-wasabis-minimum-storage-duration-policy-work
    minimumStorageDays: 90,
    // docs.wasabi.com: objects under 4 KB are billed as 4 KB
    minimumBilledBytes: 4 * KIB,
    expects: { etagIsMd5: true, refusesWrongMd5: true, multipart: true },
    notes: [
      'Every object is billed for 90 days at least, deleted or not.',
      'More downloaded in a month than is stored may get the account suspended.',
    ],
  },
  {
    ...ordinary,
    name: 'hetzner',
    title: 'Hetzner Object Storage',
    host: /\.your-objectstorage\.com$/,
    expects: { refusesWrongMd5: true, etagIsMd5: true, multipart: true },
    notes: [
      // docs.hetzner.com/storage/object-storage/supported-actions
      'Ceph behind its own front. Copies within the bucket may fail; only rules of storage.classes need them, and they wait where the probe saw no copy succeed.',
    ],
  },
  {
    ...ordinary,
    name: 'garage',
    title: 'Garage',
    expects: {
      // garagehq.deuxfleurs.fr: no code of PutObject reads If-None-Match (1.2, 2.0)
      conditionalPut: false,
      conditionalComplete: false,
      refusesWrongMd5: true,
      etagIsMd5: true,
      multipart: true,
      // garagehq.deuxfleurs.fr/documentation/reference-manual/s3-compatibility: no versioning
      keepsDeleted: false,
    },
    notes: [
      'The region is s3_region of garage.toml.',
      'Lifecycle rules know expiry and aborted uploads only.',
    ],
  },
  {
    ...ordinary,
    name: 'ceph',
    title: 'Ceph object gateway',
    // Probed: docs/probe-reports.md (16.2)
    expects: {
      ...asAws,
      conditionalPut: true,
      conditionalComplete: false,
      etagIsMd5: true,
      multipartEtagIsMd5OfParts: true,
      deletesMany: true,
      abortLeavesNothing: true,
      presignedGet: true,
    },
    notes: ['Before Tentacle (20.2.1) conditional puts that race may both win.'],
  },
  {
    ...ordinary,
    name: 'swift',
    title: 'OpenStack Swift with s3api',
    hasLifecycle: false,
    hasCors: false,
    // Probed: docs/probe-reports.md (2.30)
    expects: {
      conditionalPut: false,
      refusesWrongMd5: true,
      etagIsMd5: true,
      multipart: true,
      multipartEtagIsMd5OfParts: true,
      presignedExpires: true,
    },
    notes: ['No CORS through the S3 API: browsers go through Glassine.'],
  },
  {
    ...ordinary,
    name: 'minio',
    title: 'MinIO',
    expects: {
      refusesWrongMd5: true,
      refusesWrongSha256: true,
      etagIsMd5: true,
      multipart: true,
      multipartEtagIsMd5OfParts: true,
      // github.com/penpot/penpot/issues/10776: AWS refuses what MinIO took
      refusesDoubleAuthentication: false,
    },
    // min.io sets CORS for the whole server, not for a bucket: MINIO_API_CORS_ALLOW_ORIGIN, by default any
    // origin
    notes: ['CORS is set for the whole server (MINIO_API_CORS_ALLOW_ORIGIN), not for a bucket.'],
  },
  {
    ...ordinary,
    name: 'scaleway',
    title: 'Scaleway Object Storage',
    host: /\.scw\.cloud$/,
    // scaleway.com/en/docs/object-storage/api-cli/multipart-uploads
    maxParts: 1000,
    expects: { refusesWrongMd5: true, etagIsMd5: true, multipart: true, conditionalPut: true },
    notes: [
      // scaleway.com/en/docs/object-storage/faq (April 2025): billed since November 2023
      'A restore from GLACIER takes up to a day or so, without tiers, and costs about 0.009 EUR a GB.',
    ],
  },
  {
    ...ordinary,
    name: 'gcs',
    title: 'Google Cloud Storage',
    host: /(^|\.)storage\.googleapis\.com$/,
    // cloud.google.com/storage/docs/migrating; rclone backend/s3/provider/GCS.yaml
    region: 'auto',
    deleteObjects: false,
    expects: {
      // cloud.google.com/storage/docs/xml-api/reference-headers: x-goog-if-generation-match instead of
      // If-None-Match
      conditionalPut: false,
      refusesWrongMd5: true,
      deletesMany: false,
    },
    notes: [
      'Needs HMAC keys (Settings, Interoperability).',
      'CORS and lifecycle rules are set with gcloud storage buckets update.',
    ],
  },
  {
    ...ordinary,
    name: 'storj',
    title: 'Storj',
    host: /(^|\.)storjshare\.io$/,
    expects: { etagIsMd5: true, multipart: true },
    notes: [
      // rclone backend/s3/provider/Storj.yaml: chunk_size 64Mi
      'Billed by segments of 64 MiB besides bytes: many small objects cost more.',
    ],
  },
  {
    ...ordinary,
    name: 'ovh',
    title: 'OVHcloud Object Storage',
    host: /\.cloud\.ovh\.(net|us)$/,
    // help.ovhcloud.com: endpoints are virtual hosts, https://bucket.s3.region.io.cloud.ovh.net
    forcePathStyle: false,
    expects: { refusesWrongMd5: true, multipart: true },
    notes: ['The region is in lower case, such as gra or de.'],
  },
  {
    ...ordinary,
    name: 'digitalocean',
    title: 'DigitalOcean Spaces',
    host: /\.digitaloceanspaces\.com$/,
    // docs.digitalocean.com/products/spaces/reference/s3-compatibility
    forcePathStyle: false,
    expects: { refusesWrongMd5: true, etagIsMd5: true, multipart: true },
    notes: [
      // docs.digitalocean.com/products/spaces/details/limits
      'Ceph behind its own front; requests to a Space are limited, and SlowDown is answered above that.',
    ],
  },
  {
    ...ordinary,
    name: 'idrive',
    title: 'IDrive e2',
    host: /\.idrivee2(-\d+)?\.com$/,
    // rclone backend/s3/provider/IDrive.yaml
    expects: { etagIsMd5: true, multipart: true },
    notes: ['The region is part of the endpoint that the console shows.'],
  },
  {
    ...ordinary,
    name: 'demonstration',
    title: 'Demonstration bucket',
    // Our own server: lifecycle rules are kept, but nothing runs them.
    hasLifecycle: false,
    expects: {
      ...asAws,
      conditionalPut: true,
      conditionalComplete: true,
      etagIsMd5: true,
      keepsDeleted: false,
    },
    notes: ['A folder of this machine: no safer than its disk.'],
  },
  {
    ...ordinary,
    name: 'generic',
    title: 'An S3 service that is not known',
    notes: ['Nothing is expected of it: what the probe finds counts.'],
  },
]
