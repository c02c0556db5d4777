/**
 * What to paste where a bucket is not set up as it should be: the policy, the rules, and the commands that
 * set them.
 */
import type { CORSRule, LifecycleRule } from '@aws-sdk/client-s3'
import type { Paste } from '../../../probe-report.ts'
import type { S3Bucket } from '../../requests/bucket.ts'
import type { Probe } from './probing.ts'

/** Direct uploads in parts are open for 7 days, and once confirmed they may wait for their proof. */
const ABORT_UPLOADS_DAYS = 30
/** How long a version that was replaced or deleted stays in the rule that is proposed. */
const NONCURRENT_DAYS = 30

/**
 * On the objects below the prefix: all that Glassine asks for, but for what the provider or the configuration
 * adds.
 */
export const OBJECT_ACTIONS = [
  's3:GetObject',
  's3:PutObject',
  's3:DeleteObject',
  's3:AbortMultipartUpload',
  's3:ListMultipartUploadParts',
]
/** On the objects as well, where classes of the configuration are archives. */
export const RESTORE_ACTION = 's3:RestoreObject'
/** On the objects as well, where they are locked; never s3:BypassGovernanceRetention. */
export const LOCK_ACTIONS = [
  's3:DeleteObjectVersion',
  's3:GetObjectRetention',
  's3:GetObjectLegalHold',
  's3:PutObjectRetention',
]
/** On the key of SSE-KMS; Decrypt also for what is put in parts. */
export const KMS_ACTIONS = ['kms:GenerateDataKey', 'kms:Decrypt']
/** On the bucket. The last three are asked by the probe alone. */
export const BUCKET_ACTIONS = [
  's3:ListBucket',
  's3:ListBucketMultipartUploads',
  's3:ListBucketVersions',
  's3:GetBucketVersioning',
  's3:GetLifecycleConfiguration',
  's3:GetBucketCORS',
]

/** The policy that the credentials need, no more and no less. */
export function iamPolicy({ bucket, usesArchives }: Pick<Probe, 'bucket' | 'usesArchives'>): Paste {
  const { settings, provider } = bucket
  const partition = settings.region.startsWith('cn-') ? 'aws-cn' : 'aws'
  const arn = `arn:${partition}:s3:::${settings.bucket}`
  const objects = [
    ...OBJECT_ACTIONS,
    ...(provider.deleteVersions && !settings.objectLock ? ['s3:DeleteObjectVersion'] : []),
    ...(settings.objectLock ? LOCK_ACTIONS : []),
    ...(usesArchives ? [RESTORE_ACTION] : []),
  ]
  const { encryption } = settings
  const onBucket = [
    ...BUCKET_ACTIONS,
    ...(settings.objectLock ? ['s3:GetBucketObjectLockConfiguration'] : []),
  ]
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'GlassineObjects',
        Effect: 'Allow',
        Action: objects,
        Resource: `${arn}/${settings.prefix}*`,
      },
      { Sid: 'GlassineBucket', Effect: 'Allow', Action: onBucket, Resource: arn },
      ...(encryption?.type === 'sse-kms'
        ? [
            {
              Sid: 'GlassineKey',
              Effect: 'Allow',
              Action: KMS_ACTIONS,
              Resource: kmsResource(encryption.keyId),
            },
          ]
        : []),
    ],
  }
  return { title: 'The policy of the user or role whose keys Glassine has (IAM)', text: inJson(policy) }
}

/** A policy names a key by its ARN; of one that is known by another name, the reader has to put that in. */
function kmsResource(keyId: string | null): string {
  return keyId?.startsWith('arn:') && keyId.includes(':key/') ? keyId : '<the ARN of the key>'
}

/**
 * Lets pages of these origins put and get with presigned URLs. Rules of the bucket that are known stay in it.
 */
export function corsRules(
  { settings }: Pick<S3Bucket, 'settings'>,
  origins: readonly string[],
  existing: readonly CORSRule[],
): Paste[] {
  const ours: CORSRule = {
    ID: 'glassine',
    AllowedOrigins: [...origins],
    AllowedMethods: ['GET', 'HEAD', 'PUT'],
    AllowedHeaders: ['content-type', 'content-md5', 'if-none-match', 'range', 'x-amz-*'],
    ExposeHeaders: ['ETag', 'Content-Length', 'Content-Range', 'Accept-Ranges'],
    MaxAgeSeconds: 3600,
  }
  const rules = { CORSRules: [...existing.filter(({ ID }) => ID !== 'glassine'), ours] }
  return [
    { title: 'CORS rule: cors.json', text: inJson(rules) },
    {
      title: 'Set it with the AWS command line (it replaces all CORS rules of the bucket)',
      text: awsCommand(settings, 'put-bucket-cors', '--cors-configuration file://cors.json'),
    },
  ]
}

/** Rules that clear up after Glassine, beside those that the bucket has. */
export function lifecycleRules(
  { bucket, lifecycle }: Pick<Probe, 'bucket' | 'lifecycle'>,
  { abortsUploads = false, noncurrent = false }: { abortsUploads?: boolean; noncurrent?: boolean },
): Paste {
  const { settings } = bucket
  const scope = { Status: 'Enabled', Filter: { Prefix: settings.prefix } } as const
  const ours: LifecycleRule[] = []
  if (abortsUploads) {
    ours.push({
      ID: 'glassine-unfinished-uploads',
      ...scope,
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: ABORT_UPLOADS_DAYS },
    })
  }
  if (noncurrent) {
    ours.push({
      ID: 'glassine-hidden-versions',
      ...scope,
      Expiration: { ExpiredObjectDeleteMarker: true },
      NoncurrentVersionExpiration: { NoncurrentDays: NONCURRENT_DAYS },
    })
  }
  const names = new Set(ours.map(({ ID }) => ID))
  const rules = { Rules: [...(lifecycle ?? []).filter(({ ID }) => !names.has(ID)), ...ours] }
  const command = awsCommand(
    settings,
    'put-bucket-lifecycle-configuration',
    '--lifecycle-configuration file://lifecycle.json',
  )
  return {
    title: 'Save as lifecycle.json, then run the last line (it replaces all lifecycle rules of the bucket)',
    text: `${inJson(rules)}\n\n${command}`,
  }
}

function awsCommand(settings: S3Bucket['settings'], action: string, options: string): string {
  const endpoint = settings.endpoint === null ? '' : ` --endpoint-url ${settings.endpoint}`
  return `aws s3api ${action} --bucket ${settings.bucket} --region ${settings.region}${endpoint} ${options}`
}

/** JSON with lists of words on one line, as people write policies. */
function inJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(
    /\[\n\s+("[^"]*"(?:,\n\s+"[^"]*")*)\n\s+\]/g,
    (_, words: string) => `[${words.replace(/,\n\s+/g, ', ')}]`,
  )
}
