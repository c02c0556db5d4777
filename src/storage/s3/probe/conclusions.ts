/**
 * What the single answers of a probe add up to: how copies are proven, and whether the service is as it is
 * described.
 */

import { drawback, noProblem } from '../../probe-findings.ts'
import type { ProbeFinding } from '../../probe-report.ts'
import { compareTraits, TRAITS, traitNames } from '../../traits.ts'
import type { Probe } from './checks/probing.ts'

/**
 * Which evidence a copy is proven by from now on. Never a problem by itself: its price stands with the check
 * that found it.
 */
export async function concludeProof({ features }: Probe): Promise<ProbeFinding[]> {
  const attested = features.attestedDigests
  const single = attested.includes('md5')
    ? 'by the ETag'
    : attested.length > 0
      ? `by its ${attested.map((algorithm) => algorithm.toUpperCase()).join(' or ')}`
      : 'by reading it back'
  const parts = features.multipartEtagIsMd5OfParts
    ? 'by the ETag'
    : attested.includes('crc64nvme')
      ? 'by the CRC64NVME'
      : 'by reading it back'
  return [noProblem('proof', `a copy is proven ${single}, one in parts ${parts}`)]
}

/** Where the service differs from its description in the table of providers. What was found counts. */
export async function compareWithProvider({ bucket, traits }: Probe): Promise<ProbeFinding[]> {
  const { provider, settings } = bucket
  const name = 'provider'
  const findings: ProbeFinding[] = []
  if (provider.region !== null && settings.region !== provider.region) {
    const detail = `${provider.title} expects the region ${provider.region}, not ${settings.region}`
    findings.push(drawback(name, detail, `set its region to ${provider.region} in the configuration`))
  }
  const compared = traitNames.filter(
    (trait) => provider.expects[trait] !== undefined && traits[trait] !== undefined,
  )
  const changes = compareTraits(provider.expects, traits)
  for (const { trait, before, after, isWeaker } of changes) {
    const yesOrNo = (value: boolean) => (value ? 'yes' : 'no')
    const detail = `${TRAITS[trait].words}: expected ${yesOrNo(before)} of ${provider.title}, found ${yesOrNo(after)}`
    const remedy =
      'nothing to do: Glassine goes by what it found; correct its provider in the configuration if it is another'
    findings.push(isWeaker ? drawback(name, detail, remedy) : noProblem(name, detail))
  }
  if (findings.length > 0) return findings
  const asExpected =
    compared.length === 0 ? 'nothing is expected of it' : `as expected in ${compared.length} ways`
  return [noProblem(name, `${provider.title}: ${asExpected}`)]
}
