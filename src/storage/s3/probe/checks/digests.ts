import type { DigestAlgorithm } from '../../../backend.ts'
import { isStorageError } from '../../../backend.ts'
import { digestsOf } from '../../../bytes/digest.ts'
import type { ProbeCheck } from '../../../probe-checks.ts'
import { drawback, noProblem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { mayBeMd5, plainEtag } from '../../reads/object-info.ts'
import {
  exists,
  headRaw,
  learnDigest,
  md5Of,
  type Probe,
  putRaw,
  readRaw,
  refusalOf,
  sha256Of,
  someBytes,
} from './probing.ts'

const RACERS = 6

/** Is the ETag of a single put its MD5? Put without Content-MD5, so that it cannot be an echo. */
export async function checkEtag(probe: Probe): Promise<ProbeFinding[]> {
  const key = probe.key('etag')
  const bytes = someBytes(10_000)
  const expected = md5Of(bytes).toString('hex')
  const put = await putRaw(probe, key, bytes)
  const head = await headRaw(probe, key)
  const isMd5 = plainEtag(put.ETag) === expected && plainEtag(head.ETag) === expected && mayBeMd5(head)
  probe.traits.etagIsMd5 = isMd5
  if (!isMd5) {
    const detail = 'the ETag of a put is not its MD5 (encryption with KMS does that)'
    return [drawback('etag', detail, 'proof then rests on checksums, or on reading everything back')]
  }
  learnDigest(probe.features.attestedDigests, 'md5')
  return [noProblem('etag', 'the ETag of a put is the MD5 of what the service holds')]
}

/** Does it refuse bytes that are not what they were announced as, and store nothing? */
export async function checkRefusals(probe: Probe): Promise<ProbeFinding[]> {
  const right = someBytes(5_000)
  const wrong = someBytes(5_000)
  const tries: [DigestAlgorithm, ProbeCheck, () => Promise<unknown>, (key: string) => Promise<unknown>][] = [
    [
      'md5',
      'wrong-md5',
      () => putRaw(probe, probe.key('md5-right'), right, { ContentMD5: md5Of(right).toString('base64') }),
      (key) => putRaw(probe, key, right, { ContentMD5: md5Of(wrong).toString('base64') }),
    ],
    [
      'sha256',
      'wrong-sha256',
      () => putRaw(probe, probe.key('sha256-right'), right),
      (key) => putRaw(probe, key, right, { payload: sha256Of(wrong).toString('hex') }),
    ],
  ]
  const findings: ProbeFinding[] = []
  for (const [algorithm, check, putRight, putWrong] of tries) {
    await putRight()
    const key = probe.key(`${algorithm}-wrong`)
    const refusal = await refusalOf(() => putWrong(key))
    const isStored = await exists(probe, key)
    const isRefused = refusal !== null && !isStored
    probe.traits[algorithm === 'md5' ? 'refusesWrongMd5' : 'refusesWrongSha256'] = isRefused
    if (isRefused) {
      learnDigest(probe.features.enforcedDigests, algorithm)
      findings.push(noProblem(check, 'refused, and nothing stored'))
    } else {
      const detail = refusal === null ? 'accepted' : 'refused, but something was stored'
      findings.push(drawback(check, detail, 'damage on the way is found by the ETag or by reading back'))
    }
  }
  return findings
}

type Checksum = { algorithm: 'sha256' | 'crc64nvme'; field: 'ChecksumSHA256' | 'ChecksumCRC64NVME' }
const CHECKSUMS: Checksum[] = [
  { algorithm: 'sha256', field: 'ChecksumSHA256' },
  { algorithm: 'crc64nvme', field: 'ChecksumCRC64NVME' },
]

/**
 * Checksum headers count where a wrong one is refused, so that the right one that HEAD gives back is no echo.
 */
export async function checkChecksums(probe: Probe): Promise<ProbeFinding[]> {
  const seen: string[] = []
  for (const { algorithm, field } of CHECKSUMS) {
    const bytes = someBytes(3_000)
    const inBase64 = (of: Buffer) =>
      Buffer.from(digestsOf(of, [algorithm])[0]!.value, 'hex').toString('base64')
    const key = probe.key(`checksum-${algorithm}`)
    // A service that computes CRC64NVME computes it unasked; that is what parts rely on.
    const given = algorithm === 'sha256' ? { [field]: inBase64(bytes) } : {}
    const toRight = await refusalOf(() => putRaw(probe, key, bytes, given))
    const head =
      toRight === null
        ? await headRaw(probe, key, true).catch((error: unknown) => {
            // A service that does not know the question refuses it.
            if (isStorageError(error, 'denied')) return undefined
            throw error
          })
        : undefined
    const wrongKey = probe.key(`checksum-${algorithm}-wrong`)
    const wrong = { [field]: inBase64(someBytes(3_000)) }
    const refusal = await refusalOf(() => putRaw(probe, wrongKey, bytes, wrong))
    const isRefused = refusal !== null && !(await exists(probe, wrongKey))
    const isReported = isRefused && head?.[field] === inBase64(bytes)
    if (algorithm === 'sha256') probe.traits.refusesWrongChecksum = isRefused
    probe.traits[algorithm === 'sha256' ? 'reportsSha256' : 'reportsCrc64nvme'] = isReported
    if (!isReported) continue
    learnDigest(probe.features.attestedDigests, algorithm)
    if (algorithm === 'crc64nvme') learnDigest(probe.features.enforcedDigests, algorithm)
    seen.push(algorithm)
  }
  if (seen.length > 0) return [noProblem('checksums', `kept, checked and reported: ${seen.join(', ')}`)]
  if (probe.features.attestedDigests.includes('md5'))
    return [noProblem('checksums', 'none; the ETag speaks instead')]
  const detail = 'the service reports nothing that speaks for the bytes it holds'
  return [
    drawback(
      'checksums',
      detail,
      'every original is read back once to be proven, at the price of its download',
    ),
  ]
}

/** Is a second put refused, also when several arrive together? */
export async function checkConditionalPut(probe: Probe): Promise<ProbeFinding[]> {
  probe.features.conditionalPut = false
  probe.traits.conditionalPut = false
  const name = 'second-put'
  const remedy = 'nothing to do: keys are random and used once, and Glassine looks before it puts'
  const key = probe.key('conditional')
  const first = someBytes(100)
  const toNew = await refusalOf(() => putRaw(probe, key, first, { IfNoneMatch: '*' }))
  if (toNew !== null) return [drawback(name, `If-None-Match is not known: ${toNew}`, remedy)]
  const second = await refusalOf(() => putRaw(probe, key, someBytes(100), { IfNoneMatch: '*' }))
  const kept = (await readRaw(probe, key)).bytes.equals(first)
  if (second === null || !kept) return [drawback(name, 'If-None-Match is ignored: it overwrites', remedy)]

  const raced = probe.key('conditional-race')
  const ends = await Promise.allSettled(
    Array.from({ length: RACERS }, () => putRaw(probe, raced, someBytes(20_000), { IfNoneMatch: '*' })),
  )
  const winners = ends.filter(({ status }) => status === 'fulfilled').length
  if (winners !== 1) return [drawback(name, `of ${RACERS} racing conditional puts ${winners} won`, remedy)]
  probe.features.conditionalPut = true
  probe.traits.conditionalPut = true
  return [noProblem(name, `refused, and of ${RACERS} racing ones one won`)]
}

/** Does If-Match replace what it names, and nothing else? The counter of the location is advanced with it. */
export async function checkConditionalReplace(probe: Probe): Promise<ProbeFinding[]> {
  probe.features.conditionalReplace = false
  probe.traits.conditionalReplace = false
  const name = 'compare-and-replace'
  const remedy =
    'nothing to do: the counter is read before it is written, and a second server that writes in that very moment is noticed a minute later'
  const key = probe.key('compare-and-replace')
  const first = await putRaw(probe, key, someBytes(100))
  const second = someBytes(100)
  const toRight = await refusalOf(() => putRaw(probe, key, second, { IfMatch: first.ETag }))
  if (toRight !== null) return [drawback(name, `If-Match is not known: ${toRight}`, remedy)]
  const toStale = await refusalOf(() => putRaw(probe, key, someBytes(100), { IfMatch: first.ETag }))
  const kept = (await readRaw(probe, key)).bytes.equals(second)
  if (toStale === null || !kept) return [drawback(name, 'If-Match is ignored: it overwrites', remedy)]
  const absent = probe.key('compare-and-replace-absent')
  const toAbsent = await refusalOf(() => putRaw(probe, absent, someBytes(100), { IfMatch: first.ETag }))
  if (toAbsent === null) return [drawback(name, 'If-Match puts where nothing is held', remedy)]
  probe.features.conditionalReplace = true
  probe.traits.conditionalReplace = true
  return [noProblem(name, 'If-Match replaces what it names only')]
}
