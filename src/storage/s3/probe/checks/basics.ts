import { HeadBucketCommand } from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { drawback, noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { exists, type Probe, putRaw, readRaw, someBytes } from './probing.ts'

/** At 15 minutes S3 services refuse every request. */
const CLOCK_LIMIT_MS = 60_000
const REFUSED_AT_MS = 15 * 60_000

/** Reachable, there, in this region, with these credentials. */
export async function checkBucket({ bucket }: Probe): Promise<ProbeFinding[]> {
  const { settings, provider } = bucket
  const command = new HeadBucketCommand({ Bucket: settings.bucket })
  try {
    await bucket.call('HeadBucket', undefined, (options) => bucket.client.send(command, options))
  } catch (error) {
    if (!isStorageError(error)) throw error
    if (error.kind === 'not-found') {
      const detail = `there is no bucket ${settings.bucket} at ${settings.endpoint ?? 'AWS'}`
      return [problem('bucket', detail, 'create it, or correct its name in the configuration')]
    }
    const region = regionIn(error.cause)
    if (region !== undefined && region !== settings.region) {
      const detail = `bucket ${settings.bucket} is in region ${region}, not ${settings.region}`
      return [problem('bucket', detail, `set its region to ${region} in the configuration`)]
    }
    // A HEAD gives no reason, but our clock may be the reason of any refusal.
    if (
      isStorageError(error, 'denied') &&
      Math.abs(bucket.connection.http.clockSkewMs() ?? 0) > REFUSED_AT_MS
    ) {
      return [noProblem('bucket', `${settings.bucket} answers`)]
    }
    if (error.kind !== 'denied') throw error
    // HEAD gives no reason; a put, which follows, does.
    return [
      noProblem('bucket', `${settings.bucket} answers, though it may not be looked at: ${error.message}`),
    ]
  }
  const notes = provider.notes.map((note) => ` ${note}`).join('')
  return [noProblem('bucket', `${settings.bucket} is there (provider ${provider.name}).${notes}`)]
}

/** What is put is read back the same; the time of a small round trip. */
export async function checkRoundTrip(probe: Probe): Promise<ProbeFinding[]> {
  const key = probe.key('round-trip')
  const bytes = someBytes(1024)
  await putRaw(probe, key, bytes)
  const { bytes: back } = await readRaw(probe, key)
  const startedAt = performance.now()
  await exists(probe, key)
  probe.latencyMs = Math.round(performance.now() - startedAt)
  if (!back.equals(bytes)) {
    return [
      problem(
        'round-trip',
        'the bytes that came back are not those that were put',
        'do not use this service',
      ),
    ]
  }
  const empty = probe.key('empty')
  await putRaw(probe, empty, Buffer.alloc(0))
  if ((await readRaw(probe, empty)).bytes.length !== 0) {
    return [problem('round-trip', 'an empty object came back with bytes in it', 'do not use this service')]
  }
  return [noProblem('round-trip', `put, read and found again, in ${probe.latencyMs} ms`)]
}

export async function checkClock({ bucket }: Probe): Promise<ProbeFinding[]> {
  const skewMs = bucket.connection.http.clockSkewMs()
  if (skewMs === null) return [noProblem('clock', 'the service names no time')]
  const seconds = Math.round(Math.abs(skewMs) / 1000)
  if (Math.abs(skewMs) <= CLOCK_LIMIT_MS) return [noProblem('clock', `within ${seconds} s of the service's`)]
  const detail = `${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the service's; at 900 s every request is refused`
  return [drawback('clock', detail, 'set the time of this machine (NTP)')]
}

/** The region that a refusal names, in a header or in its body. */
export function regionIn(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined
  const { Region, $response } = cause as { Region?: string; $response?: { headers?: Record<string, string> } }
  return Region ?? $response?.headers?.['x-amz-bucket-region']
}
