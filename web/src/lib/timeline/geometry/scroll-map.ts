/**
 * Where the reader is in a timeline that may be taller than any browser draws. Chrome cuts an element at
 * about 33 million device pixels and Firefox at 17.9 million; 888,198 photographs ask for 59.7 million CSS
 * pixels. The scrolling element is therefore at most 8,000,000 device pixels high, and content position =
 * scroll position + `base`.
 *
 * Small moves (wheel, touch, keys) leave `base` alone: one pixel of the wheel is one pixel of the timeline,
 * anywhere. A jump (the browser's own bar, Home, End) is read in proportion. When scrolling rests, `settle`
 * moves `base` and the scroll position against each other, so that both ends stay in reach; nothing on the
 * screen moves by that.
 */
export const LARGEST_SCROLL_DEVICE_PX = 8_000_000

/** Within so many windows of an end, one pixel of the timeline is one of the element. */
const END_WINDOWS = 12

export type ScrollMap = {
  /** Height of the timeline. */
  readonly contentPx: number
  /** Height of the scrolling element's inside: at most the cap. */
  readonly scrollPx: number
  readonly viewportPx: number
  /** Content position minus scroll position. */
  readonly base: number
  readonly scrollTop: number
}

/** A map for a timeline of that height, looking at content position 0. */
export function openScrollMap(contentPx: number, viewportPx: number, devicePixelRatio: number): ScrollMap {
  const scrollPx = Math.min(contentPx, Math.floor(LARGEST_SCROLL_DEVICE_PX / Math.max(1, devicePixelRatio)))
  return { contentPx, scrollPx, viewportPx, base: 0, scrollTop: 0 }
}

/** The content pixel at the top edge of the window. */
export function contentTop(map: ScrollMap): number {
  return map.base + map.scrollTop
}

/** Whether the timeline is taller than the element that scrolls it. */
export function isScaled(map: ScrollMap): boolean {
  return map.contentPx > map.scrollPx
}

/**
 * The same timeline looked at from content position `top`. Near an end the scroll position is as far from
 * that end as the timeline is, so that both are met together; in between it is in proportion.
 */
export function jumpTo(map: ScrollMap, top: number): ScrollMap {
  const lastTop = Math.max(0, map.contentPx - map.viewportPx)
  const wanted = Math.round(Math.min(lastTop, Math.max(0, top)))
  if (!isScaled(map)) return { ...map, base: 0, scrollTop: wanted }
  const lastScrollTop = map.scrollPx - map.viewportPx
  const margin = Math.min(END_WINDOWS * map.viewportPx, lastScrollTop / 3)
  let scrollTop: number
  if (wanted <= margin) scrollTop = wanted
  else if (wanted >= lastTop - margin) scrollTop = lastScrollTop - (lastTop - wanted)
  else
    scrollTop = Math.round(
      margin + ((wanted - margin) / (lastTop - 2 * margin)) * (lastScrollTop - 2 * margin),
    )
  return { ...map, base: wanted - scrollTop, scrollTop }
}

/** The element was scrolled to `scrollTop`, by whatever hand. */
export function scrolledTo(map: ScrollMap, scrollTop: number): ScrollMap {
  if (!isScaled(map)) return { ...map, base: 0, scrollTop }
  const isJump = Math.abs(scrollTop - map.scrollTop) > 4 * map.viewportPx
  // Within reach `base` is at most the difference of the heights, so neither end can be passed.
  if (!isJump) return { ...map, scrollTop }
  const lastScrollTop = map.scrollPx - map.viewportPx
  const top =
    (Math.min(lastScrollTop, Math.max(0, scrollTop)) / lastScrollTop) * (map.contentPx - map.viewportPx)
  return { ...map, base: Math.round(top - scrollTop), scrollTop }
}

/**
 * Whether an end of the scrolling element is near while the timeline goes on: settle now, not when scrolling
 * rests.
 */
export function mustRecentre(map: ScrollMap): boolean {
  if (!isScaled(map)) return false
  const margin = 2 * map.viewportPx
  const isAtStart = map.scrollTop < margin && map.base > 0
  const isAtEnd =
    map.scrollPx - map.viewportPx - map.scrollTop < margin && map.base + map.scrollPx < map.contentPx
  return isAtStart || isAtEnd
}

/** Scroll position in proportion again, the same pixel under the reader's eye. */
export function recentre(map: ScrollMap): ScrollMap {
  return jumpTo(map, contentTop(map))
}

/**
 * The timeline, the window or both changed size, and what was at content position `from` is now at `to`: the
 * map that keeps it where it was on the screen.
 */
export function resized(map: ScrollMap, next: ScrollMap, from: number, to: number): ScrollMap {
  const top = contentTop(map) + (to - from)
  if (!isScaled(next)) return jumpTo(next, top)
  const lastTop = Math.max(0, next.contentPx - next.viewportPx)
  const wanted = Math.round(Math.min(lastTop, Math.max(0, top)))
  const scrollTop = Math.min(map.scrollTop, next.scrollPx - next.viewportPx)
  const base = wanted - scrollTop
  // Beyond these the timeline would begin or end before the element does.
  if (base < 0 || base > next.contentPx - next.scrollPx) return jumpTo(next, wanted)
  return { ...next, base, scrollTop }
}
