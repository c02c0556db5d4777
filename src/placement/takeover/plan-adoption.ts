import { type Difference, listLocation } from '../listing/list-location.ts'
import type { Location } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { type AdoptionOptions, type AdoptionReport, add, emptyReport } from './adoption.ts'
import { candidatesFor, looksRight } from './listed.ts'

/** Entries between two calls of `onProgress`. */
const STRETCH = 200

/**
 * What an adoption would do, by a listing alone: one request for a thousand files, nothing is read or
 * written. What would have to be read counts as `toRead` besides.
 */
export async function planAdoption(
  placement: Placement,
  locationId: string,
  { signal, onProgress }: AdoptionOptions = {},
): Promise<AdoptionReport> {
  const location = locationOf(placement, locationId)
  const report = emptyReport()
  for await (const entry of listLocation(placement, location, { signal })) {
    signal?.throwIfAborted()
    if (entry.listed) add(report.held, entry.listed.size)
    await foresee(placement, location, entry, report)
    if (report.held.count % STRETCH === 0) onProgress?.(report)
  }
  return report
}

async function foresee(
  placement: Placement,
  location: Location,
  entry: Difference,
  report: AdoptionReport,
): Promise<void> {
  const { listed, replica } = entry
  if (replica === null) {
    const isKnown = (await candidatesFor(placement, location, listed)).length > 0
    add(isKnown ? report.adopted : report.unknown, listed.size)
    if (isKnown) add(report.toRead, listed.size)
  } else if (replica.objectState === 'purging') {
    // Its deletion was decided, and goes on afterwards.
  } else if (listed === null) {
    if (replica.state === 'verified') add(report.missing, replica.size)
  } else if (replica.state === 'verified') {
    add(looksRight(listed, replica) ? report.confirmed : report.wrong, listed.size)
  } else if (listed.size === replica.size) {
    add(report.adopted, listed.size)
    add(report.toRead, listed.size)
  } else {
    add(report.wrong, listed.size)
  }
}
