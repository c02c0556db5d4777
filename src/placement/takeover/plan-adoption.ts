import { isOwnBackup } from '../backups/adopt-backup.ts'
import { type Difference, listLocation } from '../listing/list-location.ts'
import type { Location } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { type AdoptionOptions, type AdoptionReport, add, emptyReport } from './adoption.ts'
import { candidatesFor, isNamedElsewhere, looksRight } from './listed.ts'

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
  const moved: Moved = { missing: new Set(), strays: [] }
  for await (const entry of listLocation(placement, location, { signal })) {
    signal?.throwIfAborted()
    if (entry.listed) add(report.held, entry.listed.size)
    await foresee(placement, location, entry, { report, moved })
    if (report.held.count % STRETCH === 0) onProgress?.(report)
  }
  for (const { objectIds, size } of moved.strays)
    foreseeStray(report, size, { isKnown: objectIds.some((id) => moved.missing.has(id)) })
  return report
}

/**
 * Bytes may have got another key since (a change of class, say). Which of both keys comes first is chance, so
 * that it is known at the end. `missing`: objects of which nothing is listed under the key that is named.
 */
type Moved = { missing: Set<string>; strays: { objectIds: string[]; size: number }[] }

async function foresee(
  placement: Placement,
  location: Location,
  entry: Difference,
  { report, moved }: { report: AdoptionReport; moved: Moved },
): Promise<void> {
  const { listed, replica } = entry
  if (replica === null) {
    const candidates = await candidatesFor(placement, location, listed)
    if (candidates.length > 0 && candidates.every(isNamedElsewhere))
      moved.strays.push({ objectIds: candidates.map(({ object }) => object.id), size: listed.size })
    else
      foreseeStray(report, listed.size, {
        isKnown: candidates.length > 0 || (await isOwnBackup(placement, listed.key)),
      })
  } else if (replica.objectState === 'purging') {
    // Its deletion was decided, and goes on afterwards.
  } else if (listed === null) {
    moved.missing.add(replica.objectId)
    if (replica.state === 'verified') add(report.missing, replica.size)
  } else if (replica.state === 'verified') {
    const isSize = listed.size === replica.size
    add(isSize ? report.confirmed : report.wrong, listed.size)
    if (isSize && !looksRight(listed, replica)) add(report.toRead, listed.size)
  } else if (listed.size === replica.size) {
    add(report.adopted, listed.size)
    add(report.toRead, listed.size)
  } else {
    add(report.wrong, listed.size)
  }
}

function foreseeStray(report: AdoptionReport, size: number, { isKnown }: { isKnown: boolean }): void {
  add(isKnown ? report.adopted : report.unknown, size)
  if (isKnown) add(report.toRead, size)
}
