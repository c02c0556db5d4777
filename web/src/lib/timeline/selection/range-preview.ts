/** Which photographs a click with shift would add, as far as they are loaded. Pure. */

type LoadedMonth = { photos: readonly { id: string }[] | null }

/**
 * The ids from one photograph to the other, both included, in either order; empty where one of them is not
 * loaded.
 */
export function rangePreview(months: readonly LoadedMonth[], from: string, to: string): Set<string> {
  const ids = new Set<string>()
  if (from === to) return ids.add(from)
  let isInside = false
  for (const month of months) {
    for (const { id } of month.photos ?? []) {
      const isEnd = id === from || id === to
      if (isEnd || isInside) ids.add(id)
      if (isEnd && isInside) return ids
      if (isEnd) isInside = true
    }
  }
  // Only one end was found.
  return new Set()
}
