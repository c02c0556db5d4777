/**
 * Finds out what an S3 service really does, with requests that it must refuse as well as with some that it must carry
 * out. What the features say later rests on this, never on the name of the provider. Everything happens below
 * `{prefix}.glassine-probe/{id}/`, some 5 MiB in 70 requests, and is removed again.
 */
import { randomUUID } from 'node:crypto'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { Log } from '../log.ts'
import type { ObjectKey, ProbeFinding, ProbeReport } from './backend.ts'
import { isStorageError } from './backend.ts'
import { messageOf } from './read-body.ts'
import { openS3Bucket } from './s3-bucket.ts'
import type { S3Settings } from './s3-client.ts'
import { deleteS3 } from './s3-delete.ts'
import { checkBucket, checkClock, checkRoundTrip } from './s3-probe-basics.ts'
import { checkChecksums, checkConditionalPut, checkEtag, checkRefusals } from './s3-probe-digests.ts'
import { checkMultipart } from './s3-probe-multipart.ts'
import { checkDelete, checkListing, checkRanges, checkVersioning } from './s3-probe-objects.ts'
import { noProblem, openProbe, type Probe } from './s3-probing.ts'
import { retryUnavailable } from './with-retry.ts'

/** The rest makes no sense where one of these fails. */
const FIRST = [checkBucket, checkRoundTrip, checkDelete]
const REST = [
  checkClock,
  checkEtag,
  checkRefusals,
  checkChecksums,
  checkConditionalPut,
  checkRanges,
  checkListing,
  checkMultipart,
  checkVersioning,
]
/** A hiccup must not decide what a service can do. */
const CHECK_RETRY = { attempts: 3, delayMs: 300 }

/** Takes 1 to 5 seconds. Never throws: what went wrong is a finding, with its remedy. */
export async function probeS3(settings: S3Settings, log: Log): Promise<ProbeReport> {
  const bucket = openS3Bucket(settings, log)
  const probe = openProbe(bucket, `.glassine-probe/${randomUUID()}/`)
  const at = new Date()
  try {
    for (const check of FIRST) {
      if (!(await run(probe, check))) return report()
    }
    for (const check of REST) await run(probe, check)
    await run(probe, checkCleanUp)
    return report()
  } finally {
    bucket.client.destroy()
  }

  function report(): ProbeReport {
    const ok = probe.findings.every((finding) => finding.ok || !finding.critical)
    return { at, ok, latencyMs: probe.latencyMs, features: probe.features, findings: probe.findings }
  }
}

/** Whether the check found no critical problem. One that cannot be finished leaves its features unknown. */
async function run(probe: Probe, check: (probe: Probe) => Promise<ProbeFinding[]>): Promise<boolean> {
  let found: ProbeFinding[]
  try {
    found = await retryUnavailable(CHECK_RETRY, () => check(probe))
  } catch (error) {
    const name = check.name
      .replace(/^check/, '')
      .replace(/([a-z])([A-Z])/g, '$1 $2')
      .toLowerCase()
    found = [
      {
        check: name,
        ok: false,
        critical: check === checkBucket || check === checkRoundTrip || isStorageError(error, 'denied'),
        detail: messageOf(error),
        remedy: remedyOf(error),
      },
    ]
  }
  probe.findings.push(...found)
  return found.every((finding) => finding.ok || !finding.critical)
}

function remedyOf(error: unknown): string {
  const [, remedy] = / \((.+)\)$/.exec(messageOf(error)) ?? []
  return remedy ?? 'look at the detail, then probe again'
}

/** Removes what this probe made, and says so where it cannot. */
async function checkCleanUp({ bucket, folder, made }: Probe): Promise<ProbeFinding[]> {
  const at = { Bucket: bucket.settings.bucket, Prefix: bucket.fullKey(folder) }
  const page = await bucket.call('ListObjectsV2', undefined, (options) =>
    bucket.client.send(new ListObjectsV2Command(at), options),
  )
  const left = new Set(made)
  for (const { Key } of page.Contents ?? []) {
    if (Key !== undefined) left.add(Key.slice(bucket.settings.prefix.length))
  }
  await deleteS3(bucket, [...left] as ObjectKey[], undefined)
  return [noProblem('clean up', `removed what the probe had made, ${left.size} keys`)]
}
