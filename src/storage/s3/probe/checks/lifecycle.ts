import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketVersioningCommand,
  type LifecycleRule,
  ListObjectVersionsCommand,
} from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { drawback, noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { errorCode } from '../../requests/errors.ts'
import { lifecycleRules } from './paste.ts'
import type { Probe } from './probing.ts'

/** Classes whose objects must be restored before they can be read. */
const ARCHIVES = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/**
 * Rules of the bucket that act on our objects: one that expires them would delete the only copy behind our
 * back.
 */
export async function checkLifecycle(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const name = 'lifecycle'
  const read = await readRules(probe)
  if (typeof read === 'string') return [noProblem(name, `not known: ${read}`)]
  probe.lifecycle = read
  const ours = read.filter((rule) => rule.Status === 'Enabled' && concerns(rule, bucket.settings.prefix))

  const expiring = ours.find(
    ({ Expiration }) => Expiration?.Days !== undefined || Expiration?.Date !== undefined,
  )
  if (expiring !== undefined) {
    const { Days } = expiring.Expiration ?? {}
    const when = Days === undefined ? 'at a date' : `${Days} days after they were put`
    const what = concerns(expiring, bucket.settings.prefix, [FILES]) ? 'originals' : 'backups of the database'
    const detail = `the rule ${expiring.ID ?? 'without a name'} of the bucket deletes ${what} ${when}`
    return [problem(name, detail, 'remove the rule, or limit it to another prefix, at once')]
  }
  const archiving = ours.find(
    (rule) =>
      concerns(rule, bucket.settings.prefix, [FILES]) &&
      rule.Transitions?.some(({ StorageClass }) => ARCHIVES.has(StorageClass ?? '')),
  )
  if (archiving !== undefined) {
    const detail = `the rule ${archiving.ID ?? 'without a name'} of the bucket archives originals, which then cannot be read`
    return [drawback(name, detail, 'remove the rule: let Glassine decide what is archived')]
  }
  const abortsUploads = ours.some(({ AbortIncompleteMultipartUpload }) => AbortIncompleteMultipartUpload)
  if (abortsUploads) return [noProblem(name, 'unfinished uploads are aborted, and no rule touches originals')]
  if (!bucket.provider.hasLifecycle) return [noProblem(name, 'no rule touches originals')]
  const remedy =
    'add a rule that aborts them: Glassine aborts its own, and a rule also those of a lost server'
  const paste = [lifecycleRules(probe, { abortsUploads: true })]
  return [drawback(name, 'no rule aborts unfinished uploads, whose parts are billed unseen', remedy, paste)]
}

/** The rules, or why they are not known. A bucket without any is an empty list. */
async function readRules({ bucket }: Probe): Promise<LifecycleRule[] | string> {
  const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket.settings.bucket })
  try {
    const { Rules } = await bucket.call('GetBucketLifecycleConfiguration', undefined, (options) =>
      bucket.client.send(command, options),
    )
    return Rules ?? []
  } catch (error) {
    if (!isStorageError(error)) throw error
    if (errorCode(error.cause) === 'NoSuchLifecycleConfiguration') return []
    if (error.kind === 'unavailable') throw error
    return error.said
  }
}

const FILES = 'users/'
const BACKUPS = 'backups/'

/** Whether a rule acts on our objects. They carry no tags, so one that asks for tags does not. */
function concerns({ Filter, Prefix }: LifecycleRule, prefix: string, folders = [FILES, BACKUPS]): boolean {
  if (Filter?.Tag !== undefined || (Filter?.And?.Tags?.length ?? 0) > 0) return false
  const itsPrefix = Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? ''
  return folders.some((folder) => {
    const objects = `${prefix}${folder}`
    return itsPrefix.startsWith(objects) || objects.startsWith(itsPrefix)
  })
}

/** A versioned bucket keeps what was deleted, and bills it. */
export async function checkVersioning(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket, folder } = probe
  const name = 'versioning'
  const at = { Bucket: bucket.settings.bucket }
  let status: string | undefined
  let kept = 0
  try {
    const state = await bucket.call('GetBucketVersioning', undefined, (options) =>
      bucket.client.send(new GetBucketVersioningCommand(at), options),
    )
    status = state.Status
    probe.isVersioned = status === 'Enabled'
    const prefix = bucket.fullKey(`${folder}delete/`)
    const versions = await bucket.call('ListObjectVersions', undefined, (options) =>
      bucket.client.send(new ListObjectVersionsCommand({ ...at, Prefix: prefix }), options),
    )
    kept = (versions.Versions ?? []).filter(
      ({ VersionId }) => VersionId !== undefined && VersionId !== 'null',
    ).length
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    return [noProblem(name, `not known: ${error.said}`)]
  }
  probe.traits.keepsDeleted = kept > 0
  if (kept === 0) {
    if (status !== 'Enabled') return [noProblem(name, 'off: what is deleted is gone')]
    return [noProblem(name, 'on; Glassine deletes every version of a key')]
  }
  const expires = (probe.lifecycle ?? []).find(
    (rule) =>
      rule.Status === 'Enabled' &&
      rule.NoncurrentVersionExpiration !== undefined &&
      concerns(rule, bucket.settings.prefix, [FILES]),
  )
  if (expires !== undefined) {
    const days = expires.NoncurrentVersionExpiration?.NoncurrentDays
    return [
      noProblem(
        name,
        `on: what is deleted stays, hidden, for ${days ?? 'some'} days, by a rule of the bucket`,
      ),
    ]
  }
  const remedy =
    'add a lifecycle rule that expires noncurrent versions after the days you want to be able to go back'
  const paste = [lifecycleRules(probe, { noncurrent: true })]
  const detail = `on: what is deleted stays, hidden, and is billed (${kept} of 3 just now)`
  return [drawback(name, detail, remedy, paste)]
}
