/**
 * Every entry is read as an adoption reads it before it is written: what would not be believed then is left
 * out now, and the log says so. Else somebody could lose what the same line says besides.
 */
import type { Log } from '../../log.ts'
import { type CatalogueObject, type Entry, isKeyOf, MAX_ALBUMS, MAX_MEMBERS, readEntry } from './entries.ts'

/** `lost`: why not all of it is written; `entry` null: nothing of it can be. */
export type Fitted = { entry: Entry | null; lost: string | null }

export function fitted(entry: Entry): Fitted {
  const refused = refusal(entry)
  if (refused === null) return { entry, lost: null }
  const own = withOwnKeys(entry)
  for (const smaller of [own, shortened(own), bare(own), withoutSidecar(bare(own))])
    if (refusal(smaller) === null) return { entry: smaller, lost: refused }
  return { entry: null, lost: refused }
}

/** Those that can be told, as far as they can. */
export async function* fittedEntries(entries: AsyncIterable<Entry>, log: Log): AsyncGenerator<Entry> {
  for await (const whole of entries) {
    const { entry, lost } = fitted(whole)
    if (lost !== null) {
      const of = Object.entries(whole).map(([kind, { id }]) => ({ kind, id }))[0]
      const message =
        entry === null ? 'the catalogue can’t name this' : 'the catalogue names only a part of this'
      log.error({ ...of, lost }, message)
    }
    if (entry !== null) yield entry
  }
}

/** The field that would not be believed; null: all would. */
function refusal(entry: Entry): string | null {
  const read = readEntry(entry)
  return 'refused' in read ? read.refused : null
}

/**
 * Without keys that a file of this kind of its owner can't have, such as that of another user's file with the
 * same bytes. An original is found by its other keys, or by the id in them.
 */
function withOwnKeys(entry: Entry): Entry {
  if (!('asset' in entry)) return entry
  const { asset } = entry
  const own = <T extends CatalogueObject>(object: T, kind: 'original' | 'sidecar'): T => ({
    ...object,
    keys: Object.fromEntries(Object.entries(object.keys).filter(([, key]) => isKeyOf(key, asset, kind))),
  })
  const sidecar = asset.sidecar && own(asset.sidecar, 'sidecar')
  return { asset: { ...asset, original: own(asset.original, 'original'), sidecar } }
}

/** With as many albums or members as a line may name. */
function shortened(entry: Entry): Entry {
  if ('asset' in entry) return { asset: { ...entry.asset, albums: entry.asset.albums.slice(0, MAX_ALBUMS) } }
  if (!('album' in entry)) return entry
  // The owner comes first: without one, an album does not come back.
  const members = [...entry.album.members].sort(
    (a, b) => Number(b.role === 'owner') - Number(a.role === 'owner'),
  )
  return { album: { ...entry.album, members: members.slice(0, MAX_MEMBERS) } }
}

/** Without what an original can come back without, and its file says, too. */
function bare(entry: Entry): Entry {
  const short = shortened(entry)
  if ('asset' in short) return { asset: { ...short.asset, said: null, timeZone: null, durationMs: null } }
  return 'album' in short ? { album: { ...short.album, description: '' } } : short
}

function withoutSidecar(entry: Entry): Entry {
  return 'asset' in entry ? { asset: { ...entry.asset, sidecar: null } } : entry
}
