/**
 * Object Lock: whether the bucket has it, and, where the configuration asks for it, whether what is locked
 * really can't be removed.
 */
import {
  DeleteObjectCommand,
  GetObjectLockConfigurationCommand,
  HeadObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { isStorageError, type ObjectKey } from '../../../backend.ts'
import { drawback, noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { errorCode } from '../../requests/errors.ts'
import { versionsOf } from '../../versions.ts'
import { iamPolicy } from './paste.ts'
import { PROBE_FOLDER, type Probe, putRaw, refusalOf, someBytes } from './probing.ts'

const NAME = 'object-lock'
/** What the probe locks lies there until a later probe removes it: always under the same key. */
const LOCKED_KEY = `${PROBE_FOLDER}object-lock` as ObjectKey
/** Long enough for the probe to try to remove it meanwhile. */
const TRIAL_MS = 60_000

type Configured = { isOn: boolean; defaultRule: string | null } | string

export async function checkObjectLock(probe: Probe): Promise<ProbeFinding[]> {
  const { objectLock } = probe.bucket.settings
  if (objectLock == null && !probe.isVersioned) return []
  const configured = await readConfiguration(probe)
  if (typeof configured !== 'string' && !configured.isOn) {
    if (objectLock == null) return []
    const remedy =
      'make a bucket with Object Lock (docs/bucket-protection.md), or remove objectLock from the configuration'
    return [problem(NAME, 'the configuration asks for Object Lock, and the bucket does not have it', remedy)]
  }
  const findings: ProbeFinding[] = []
  if (typeof configured !== 'string' && configured.defaultRule !== null) {
    const detail = `the bucket locks everything that is put there (${configured.defaultRule}), counters and probes too`
    const remedy =
      'remove the default retention of the bucket: Glassine locks what is to be locked, by objectLock'
    findings.push(drawback(NAME, detail, remedy))
  }
  if (objectLock == null) {
    if (typeof configured !== 'string')
      findings.push(
        noProblem(
          NAME,
          'the bucket has it, and objectLock of the configuration does not use it: nothing is locked',
        ),
      )
    return findings
  }
  return [...findings, await tryLock(probe, objectLock.mode)]
}

async function readConfiguration({ bucket }: Probe): Promise<Configured> {
  const command = new GetObjectLockConfigurationCommand({ Bucket: bucket.settings.bucket })
  try {
    const { ObjectLockConfiguration: found } = await bucket.call(
      'GetObjectLockConfiguration',
      undefined,
      (options) => bucket.client.send(command, options),
    )
    const rule = found?.Rule?.DefaultRetention
    const length = rule?.Days === undefined ? `${rule?.Years} years` : `${rule.Days} days`
    return {
      isOn: found?.ObjectLockEnabled === 'Enabled',
      defaultRule: rule === undefined ? null : `${rule.Mode?.toLowerCase()}, ${length}`,
    }
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    // Not to be allowed to ask is no fault; what a trial finds counts.
    if (errorCode(error.cause) === 'AccessDenied') return error.said
    return { isOn: false, defaultRule: null }
  }
}

async function tryLock(probe: Probe, mode: 'GOVERNANCE' | 'COMPLIANCE'): Promise<ProbeFinding> {
  const { bucket } = probe
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(LOCKED_KEY) }
  await removeEarlier(probe)
  const end = (afterMs: number) =>
    new Date(Math.ceil((Date.now() + (bucket.connection.http.clockSkewMs() ?? 0)) / 1_000) * 1_000 + afterMs)
  const until = end(TRIAL_MS)
  const lock = { ObjectLockMode: mode, ObjectLockRetainUntilDate: until }
  const paste = [iamPolicy(probe)]
  const refused = await refusalOf(() => putRaw(probe, LOCKED_KEY, someBytes(16), lock))
  if (refused !== null) {
    const remedy = 'give the credentials s3:PutObjectRetention, and the bucket Object Lock'
    return problem(NAME, `a put that locks what it puts is refused: ${refused}`, remedy, paste)
  }
  const held = await bucket.call(`HeadObject of ${LOCKED_KEY}`, undefined, (options) =>
    bucket.client.send(new HeadObjectCommand(at), options),
  )
  const { VersionId } = held
  if (held.ObjectLockMode !== mode || held.ObjectLockRetainUntilDate?.getTime() !== until.getTime()) {
    const detail = 'a put that locks is carried out, and the lock is not to be seen'
    const remedy =
      'give the credentials s3:GetObjectRetention; where they have it, the service does not lock: use another'
    return problem(NAME, detail, remedy, paste)
  }
  const removal = await refusalOf(() =>
    bucket.call(`DeleteObject of ${LOCKED_KEY}`, undefined, (options) =>
      bucket.client.send(new DeleteObjectCommand({ ...at, VersionId }), options),
    ),
  )
  if (removal === null)
    return problem(
      NAME,
      'what is locked can be removed all the same',
      'the service does not lock: use another',
    )
  const longer = new PutObjectRetentionCommand({
    ...at,
    VersionId,
    Retention: { Mode: mode, RetainUntilDate: end(TRIAL_MS + 1_000) },
  })
  const prolonging = await refusalOf(() =>
    bucket.call(`PutObjectRetention of ${LOCKED_KEY}`, undefined, (options) =>
      bucket.client.send(longer, options),
    ),
  )
  if (prolonging !== null) {
    const detail = `a lock can't be prolonged, so that it would end while the files are wanted: ${prolonging}`
    return problem(NAME, detail, 'give the credentials s3:PutObjectRetention', paste)
  }
  return noProblem(
    NAME,
    `what is locked (${mode.toLowerCase()}) is not removed before its time, and the time is prolonged`,
  )
}

/** What earlier probes locked; the youngest may be locked still. */
async function removeEarlier({ bucket }: Probe): Promise<void> {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(LOCKED_KEY) }
  for (const { versionId } of await versionsOf(bucket, LOCKED_KEY, undefined)) {
    await refusalOf(() =>
      bucket.call(`DeleteObject of ${LOCKED_KEY}`, undefined, (options) =>
        bucket.client.send(new DeleteObjectCommand({ ...at, VersionId: versionId }), options),
      ),
    )
  }
}
