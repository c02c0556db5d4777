/**
 * Finds out what an S3 service really does, with requests that it must refuse as well as with some that it must carry
 * out. What the features say later rests on this, never on the name of the provider. Everything happens below
 * `{prefix}.glassine-probe/{id}/`, some 15 MiB in a hundred requests, and is removed again.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../log.ts'
import type { ProbeFinding, ProbeOptions, ProbeReport } from './backend.ts'
import { isStorageError } from './backend.ts'
import { messageOf } from './read-body.ts'
import { openS3Bucket } from './s3-bucket.ts'
import type { S3Settings } from './s3-client.ts'
import { errorCode } from './s3-errors.ts'
import { iamPolicy } from './s3-paste.ts'
import { checkBucket, checkClock, checkRoundTrip, regionIn } from './s3-probe-basics.ts'
import { checkCleanUp } from './s3-probe-clean-up.ts'
import { compareWithProvider, concludeProof } from './s3-probe-conclusions.ts'
import { checkCopies } from './s3-probe-copies.ts'
import { checkCors } from './s3-probe-cors.ts'
import { checkChecksums, checkConditionalPut, checkEtag, checkRefusals } from './s3-probe-digests.ts'
import { checkLifecycle, checkVersioning } from './s3-probe-lifecycle.ts'
import { checkAbort, checkMultipart, checkUnequalParts } from './s3-probe-multipart.ts'
import { checkDelete, checkListing, checkRanges } from './s3-probe-objects.ts'
import {
  checkCutPut,
  checkPresignedGet,
  checkPresignedPut,
  notePublicAddress,
  sendCutPut,
} from './s3-probe-presigned.ts'
import { checkRestore } from './s3-probe-restore.ts'
import { openProbe, PROBE_FOLDER, type Probe } from './s3-probing.ts'
import { retryUnavailable } from './with-retry.ts'

/** The rest makes no sense where one of these fails. */
const FIRST = [checkBucket, checkClock, checkRoundTrip, checkDelete]
const REST = [
  sendCutPut,
  checkEtag,
  checkRefusals,
  checkChecksums,
  checkConditionalPut,
  checkRanges,
  checkListing,
  checkMultipart,
  checkUnequalParts,
  checkAbort,
  checkCopies,
  checkLifecycle,
  checkVersioning,
  checkRestore,
  notePublicAddress,
  checkPresignedPut,
  checkPresignedGet,
  checkCutPut,
  checkCors,
  compareWithProvider,
  concludeProof,
]
/** A hiccup must not decide what a service can do. */
const CHECK_RETRY = { attempts: 3, delayMs: 300 }

/** Takes 1 to 10 seconds. Never throws: what went wrong is a finding, with its remedy. */
export async function probeS3(
  settings: S3Settings,
  log: Log,
  options: ProbeOptions = {},
): Promise<ProbeReport> {
  const bucket = openS3Bucket(settings, log)
  const probe = openProbe(bucket, `${PROBE_FOLDER}${randomUUID()}/`, options)
  const at = new Date()
  try {
    for (const check of FIRST) {
      if (!(await run(probe, check, options))) return report()
    }
    for (const check of REST) await run(probe, check, options)
    await run(probe, checkCleanUp, options)
    return report()
  } finally {
    bucket.client.destroy()
  }

  function report(): ProbeReport {
    const ok = probe.findings.every((finding) => finding.ok || !finding.critical)
    const { latencyMs, features, findings, traits } = probe
    return { at, ok, latencyMs, features, findings, traits }
  }
}

/** Whether the check found no critical problem. One that cannot be finished leaves its features unknown. */
async function run(
  probe: Probe,
  check: (probe: Probe) => Promise<ProbeFinding[]>,
  { onFinding }: ProbeOptions,
): Promise<boolean> {
  const known = { ...probe.traits }
  let found: ProbeFinding[]
  try {
    found = await retryUnavailable(CHECK_RETRY, () => check(probe))
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

/** What our own errors say at their end. */
const WITH_REMEDY = / \((.+)\)$/

/** A check that could not be finished, with the remedy that the error names. */
function failureOf(probe: Probe, check: (probe: Probe) => Promise<ProbeFinding[]>, error: unknown) {
  const { bucket } = probe
  const isDenied = isStorageError(error, 'denied')
  const region = regionIn(isStorageError(error) ? error.cause : error)
  const isElsewhere = region !== undefined && region !== bucket.settings.region
  const isPermission = isStorageError(error) && errorCode(error.cause) === 'AccessDenied'
  return {
    check: check.name
      .replace(/^(check|send|conclude|compareWith)/, '')
      .replace(/([a-z])([A-Z])/g, '$1 $2')
      .toLowerCase(),
    ok: false,
    critical: check === checkBucket || check === checkRoundTrip || isDenied,
    detail: messageOf(error).replace(WITH_REMEDY, ''),
    remedy: isElsewhere ? `set storage.s3.region to ${region}` : remedyOf(error),
    ...(isPermission && { paste: [iamPolicy(probe)] }),
  }
}

function remedyOf(error: unknown): string {
  const [, remedy] = WITH_REMEDY.exec(messageOf(error)) ?? []
  return remedy ?? 'look at the detail, then probe again'
}
