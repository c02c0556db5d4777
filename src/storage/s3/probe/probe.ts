/**
 * Finds out what an S3 service really does, with requests that it must refuse as well as with some that it
 * must carry out. What the features say later rests on this, never on the name of the provider. Everything
 * happens below
 * `{prefix}.glassine-probe/{id}/`, some 15 MiB in a hundred requests, and is removed again.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../../../log.ts'
import { isStorageError } from '../../backend.ts'
import { messageOf } from '../../bytes/read-body.ts'
import { retryUnavailable } from '../../guards/with-retry.ts'
import { PROBE_CHECKS, type ProbeCheck } from '../../probe-checks.ts'
import type { ProbeFinding, ProbeOptions, ProbeReport } from '../../probe-report.ts'
import { openS3Bucket } from '../requests/bucket.ts'
import type { S3Settings } from '../requests/client.ts'
import { describeEncryption } from '../requests/encryption.ts'
import { errorCode } from '../requests/errors.ts'
import { checkBucket, checkClock, checkRoundTrip, regionIn } from './checks/basics.ts'
import { checkCopies } from './checks/copies.ts'
import { checkCors } from './checks/cors.ts'
import {
  checkChecksums,
  checkConditionalPut,
  checkConditionalReplace,
  checkEtag,
  checkRefusals,
} from './checks/digests.ts'
import { checkEncryption } from './checks/encryption.ts'
import { checkLifecycle, checkVersioning } from './checks/lifecycle.ts'
import { checkAbort, checkMultipart, checkUnequalParts } from './checks/multipart.ts'
import { checkObjectLock } from './checks/object-lock.ts'
import { checkDelete, checkListing, checkRanges } from './checks/objects.ts'
import { iamPolicy } from './checks/paste.ts'
import {
  checkCutPut,
  checkPresignedGet,
  checkPresignedPut,
  notePublicAddress,
  sendCutPut,
} from './checks/presigned.ts'
import { openProbe, PROBE_FOLDER, type Probe } from './checks/probing.ts'
import { checkRestore } from './checks/restore.ts'
import { checkCleanUp } from './clean-up.ts'
import { compareWithProvider, concludeProof } from './conclusions.ts'

/** `id`: of what could not be found out where the check fails. */
type Check = { id: ProbeCheck; isVital?: true; run: (probe: Probe) => Promise<ProbeFinding[]> }

/** The rest makes no sense where one of these fails. */
const FIRST: Check[] = [
  { id: 'bucket', isVital: true, run: checkBucket },
  { id: 'clock', run: checkClock },
  { id: 'encryption', run: checkEncryption },
  { id: 'round-trip', isVital: true, run: checkRoundTrip },
  { id: 'delete', run: checkDelete },
]
const REST: Check[] = [
  { id: 'cut-put', run: sendCutPut },
  { id: 'etag', run: checkEtag },
  { id: 'refusals', run: checkRefusals },
  { id: 'checksums', run: checkChecksums },
  { id: 'second-put', run: checkConditionalPut },
  { id: 'compare-and-replace', run: checkConditionalReplace },
  { id: 'ranges', run: checkRanges },
  { id: 'listing', run: checkListing },
  { id: 'multipart', run: checkMultipart },
  { id: 'unequal-parts', run: checkUnequalParts },
  { id: 'abort', run: checkAbort },
  { id: 'copies', run: checkCopies },
  { id: 'lifecycle', run: checkLifecycle },
  { id: 'versioning', run: checkVersioning },
  { id: 'object-lock', run: checkObjectLock },
  { id: 'restore', run: checkRestore },
  { id: 'public-address', run: notePublicAddress },
  { id: 'presigned-put', run: checkPresignedPut },
  { id: 'presigned-get', run: checkPresignedGet },
  { id: 'cut-put', run: checkCutPut },
  { id: 'browsers', run: checkCors },
  { id: 'provider', run: compareWithProvider },
  { id: 'proof', run: concludeProof },
  { id: 'clean-up', run: checkCleanUp },
]
/** A hiccup must not decide what a service can do. */
const CHECK_RETRY = { attempts: 3, delayMs: 300 }

/** Takes 1 to 10 seconds. Never throws: what went wrong is a finding, with its remedy. */
export async function probeS3(
  settings: S3Settings,
  log: Log,
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  // What it puts goes again, so no key is noted for it.
  const bucket = openS3Bucket(settings, log, { notesKeys: false })
  const encryption = describeEncryption(settings.encryption)
  const probe = openProbe(bucket, `${PROBE_FOLDER}${randomUUID()}/`, options)
  const at = new Date()
  try {
    for (const check of FIRST) {
      if (!(await run(probe, check, options))) return report()
    }
    for (const check of REST) await run(probe, check, options)
    return report()
  } finally {
    bucket.client.destroy()
  }

  function report(): ProbeReport {
    const ok = probe.findings.every((finding) => finding.ok || !finding.critical)
    const { latencyMs, features, findings, traits } = probe
    return { at, ok, latencyMs, features, findings, traits, ...(encryption !== null && { encryption }) }
  }
}

/** Whether the check found no critical problem. One that cannot be finished leaves its features unknown. */
async function run(probe: Probe, check: Check, { onFinding }: ProbeOptions): Promise<boolean> {
  const known = { ...probe.traits }
  let found: ProbeFinding[]
  try {
    found = await retryUnavailable(CHECK_RETRY, () => check.run(probe))
  } catch (error) {
    probe.traits = known
    found = [failureOf(probe, check, error)]
  }
  for (const finding of found) {
    probe.findings.push(finding)
    onFinding?.(finding)
  }
  return found.every((finding) => finding.ok || !finding.critical)
}

/** A check that could not be finished, with the remedy that the error names. */
function failureOf(probe: Probe, { id, isVital }: Check, error: unknown): ProbeFinding {
  const { bucket } = probe
  const failure = isStorageError(error) ? error : null
  const region = regionIn(failure ? failure.cause : error)
  const isElsewhere = region !== undefined && region !== bucket.settings.region
  const isPermission = failure !== null && errorCode(failure.cause) === 'AccessDenied'
  return {
    id,
    check: PROBE_CHECKS[id],
    ok: false,
    critical: isVital === true || failure?.kind === 'denied',
    detail: failure?.withoutRemedy ?? messageOf(error),
    remedy: isElsewhere
      ? `set its region to ${region} in the configuration`
      : (failure?.remedy ?? 'look at the detail, then probe again'),
    ...(isPermission && { paste: [iamPolicy(probe)] }),
  }
}
