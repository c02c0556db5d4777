/**
 * The replica mark: one square per location, in the order of the configuration. Shape carries the meaning,
 * never colour alone; the command line prints the same four.
 */
import type { ReplicaState, StorageLocation } from '../api-types.ts'

export type MarkSquare = { glyph: '■' | '□' | '◪' | '▨'; location: string; meaning: string }

/**
 * `locations` in config order; those that a replica names but the configuration does not know any more come
 * last.
 */
export function replicaMark(
  replicas: readonly { location: string; state: ReplicaState }[],
  locations: readonly Pick<StorageLocation, 'id' | 'label'>[],
): MarkSquare[] {
  const known = new Set(locations.map((location) => location.id))
  const extra = [...new Set(replicas.map((replica) => replica.location))].filter((id) => !known.has(id))
  const all = [...locations, ...extra.map((id) => ({ id, label: id }))]
  return all.map(({ id, label }) => ({
    location: label,
    ...squareOf(replicas.filter((replica) => replica.location === id)),
  }))
}

/** The best that a location holds counts. */
function squareOf(replicas: readonly { state: ReplicaState }[]): Omit<MarkSquare, 'location'> {
  const states = new Set(replicas.map((replica) => replica.state))
  if (states.has('verified')) return { glyph: '■', meaning: 'verified' }
  if (states.has('suspect')) return { glyph: '▨', meaning: 'suspect' }
  if (states.has('writing')) return { glyph: '◪', meaning: 'being written' }
  if (states.has('evicting')) return { glyph: '□', meaning: 'being removed' }
  return { glyph: '□', meaning: 'absent' }
}

/** What a proof level says, in words. */
export function proofInWords(level: number | null): string {
  switch (level) {
    case 0:
      return 'It is there; nothing more is proven'
    case 1:
      return 'The size is right'
    case 2:
      return 'Checked by the location while it was written'
    case 3:
      return 'The location reports the right checksum'
    case 4:
      return 'All bytes were read back and compared'
    default:
      return 'Nothing is proven yet'
  }
}
