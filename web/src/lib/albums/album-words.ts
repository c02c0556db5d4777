/** What is said of an album. Pure. */
import type { Album } from '../api-types.ts'
import { formatMonth } from '../format.ts'

/** `June 2019 – July 2019`, or one month, or nothing for an empty one. */
export function albumSpan({ startDate, endDate }: Pick<Album, 'startDate' | 'endDate'>): string {
  if (!startDate || !endDate) return ''
  const [from, to] = [formatMonth(startDate), formatMonth(endDate)]
  return from === to ? from : `${from} – ${to}`
}

export type AlbumRole = Album['albumUsers'][number]['role']

export function roleIn(
  { albumUsers }: Pick<Album, 'albumUsers'>,
  userId: string | undefined,
): AlbumRole | null {
  return albumUsers.find(({ user }) => user.id === userId)?.role ?? null
}

/** Whose it is, where it is somebody else's; with whom it is shared, where it is one's own. */
export function sharedWords(album: Pick<Album, 'albumUsers'>, userId: string | undefined): string {
  const [owner, ...members] = album.albumUsers
  if (owner && owner.user.id !== userId) return `by ${owner.user.name}`
  return members.length === 0 ? '' : `shared with ${members.map(({ user }) => user.name).join(', ')}`
}

export const ALBUM_ORDERS = {
  newest: 'Newest photo',
  oldest: 'Oldest photo',
  name: 'Name',
  items: 'Number of items',
  changed: 'Last changed',
  created: 'Created',
} as const
export type AlbumOrder = keyof typeof ALBUM_ORDERS

export function sortAlbums<Sorted extends Album>(albums: readonly Sorted[], order: AlbumOrder): Sorted[] {
  const byText = (a: string, b: string) => (a < b ? 1 : a > b ? -1 : 0)
  const compare: Record<AlbumOrder, (a: Album, b: Album) => number> = {
    newest: (a, b) => byText(a.endDate ?? '', b.endDate ?? ''),
    // Empty albums last, as with the newest.
    oldest: (a, b) => byText(b.startDate ?? '~', a.startDate ?? '~'),
    name: (a, b) => a.albumName.localeCompare(b.albumName, 'en', { sensitivity: 'base', numeric: true }),
    items: (a, b) => b.assetCount - a.assetCount,
    changed: (a, b) => byText(a.updatedAt, b.updatedAt),
    created: (a, b) => byText(a.createdAt, b.createdAt),
  }
  return [...albums].sort(compare[order])
}
