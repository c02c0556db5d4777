/**
 * How S3 services differ, as data. Only what cannot be found out by trying stands here; what can be (conditional puts,
 * checksums, ETags) the probe finds out, and then this table is not asked.
 */
export type S3Provider = {
  name: string
  /** Matched against the endpoint's host where the setting says `auto`. */
  host: RegExp | null
  /** `http://host/bucket/key` rather than `http://bucket.host/key`. */
  forcePathStyle: boolean
  /** DeleteObjects works; otherwise keys are deleted one by one. */
  deleteObjects: boolean
  /**
   * A DELETE only hides the newest version, in every bucket: all versions of the key are deleted by their ids. Elsewhere
   * versioning is the owner's choice, and what it keeps is the owner's.
   */
  deleteVersions: boolean
  maxParts: number
  /** Largest body of one PUT, in bytes. */
  maxPutBytes: number
  /** What to know about it, for the report of the probe. */
  note: string
}

const GIB = 1024 ** 3

const ordinary = {
  host: null,
  forcePathStyle: true,
  deleteObjects: true,
  deleteVersions: false,
  maxParts: 10_000,
  maxPutBytes: 5 * GIB,
  note: '',
} satisfies Omit<S3Provider, 'name'>

// Sources: rclone's backend/s3/provider/*.yaml, the services' own documentation, JuiceFS' and PeerTube's settings.
export const s3Providers: readonly S3Provider[] = [
  { ...ordinary, name: 'aws', host: /(^|\.)amazonaws\.com(\.cn)?$/, forcePathStyle: false },
  {
    ...ordinary,
    name: 'r2',
    host: /\.r2\.cloudflarestorage\.com$/,
    note: 'The region is auto. More than one write a second to one key is refused.',
  },
  {
    ...ordinary,
    name: 'b2',
    host: /\.backblazeb2\.com$/,
    deleteVersions: true,
    note: 'Every bucket is versioned; Glassine deletes all versions of a key.',
  },
  {
    ...ordinary,
    name: 'gcs',
    host: /(^|\.)storage\.googleapis\.com$/,
    deleteObjects: false,
    note: 'Needs HMAC keys (Settings, Interoperability).',
  },
  { ...ordinary, name: 'minio' },
  { ...ordinary, name: 'garage', note: 'Ignores If-None-Match on a put.' },
  { ...ordinary, name: 'ceph' },
  { ...ordinary, name: 'swift' },
  { ...ordinary, name: 'hetzner', host: /\.your-objectstorage\.com$/ },
  {
    ...ordinary,
    name: 'wasabi',
    host: /\.wasabisys\.com$/,
    note: 'Every object is billed for 90 days at least, deleted or not.',
  },
  { ...ordinary, name: 'digitalocean', host: /\.digitaloceanspaces\.com$/, forcePathStyle: false },
  { ...ordinary, name: 'scaleway', host: /\.scw\.cloud$/, maxParts: 1000 },
  { ...ordinary, name: 'ovh', host: /\.cloud\.ovh\.(net|us)$/, forcePathStyle: false },
  { ...ordinary, name: 'storj', host: /(^|\.)storjshare\.io$/ },
  { ...ordinary, name: 'idrive', host: /\.idrivee2(-\d+)?\.com$/ },
]

/** The provider of a name; `auto` tells it from the endpoint (none: AWS). An unknown one gets what most do. */
export function findS3Provider(name: string, endpoint: string | null): S3Provider {
  if (name !== 'auto' && name !== '') {
    return s3Providers.find((provider) => provider.name === name) ?? { ...ordinary, name }
  }
  const host = endpoint === null ? 's3.amazonaws.com' : new URL(endpoint).hostname
  return s3Providers.find((provider) => provider.host?.test(host)) ?? { ...ordinary, name: 'other' }
}
