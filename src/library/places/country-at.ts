import { type PlacesData, UNITS_PER_DEGREE } from './places-data.ts'

type Rings = Pick<PlacesData, 'ringStarts' | 'ringBoxes' | 'ringLongitudes' | 'ringLatitudes' | 'ringCountry'>

/**
 * The country or territory whose border goes round the point; null: at sea, or where nobody agrees whose it
 * is. A point on a border belongs to one side. Borders at sea are those of coastal waters.
 */
export function countryAt(rings: Rings, latitude: number, longitude: number): string | null {
  const { ringStarts, ringCountry } = rings
  // At the pole and at the date line all rings have an edge: a point there is moved to the inside.
  const edge = UNITS_PER_DEGREE * 180 - 1
  const x = Math.max(-edge, Math.min(edge, longitude * UNITS_PER_DEGREE))
  const y = Math.max(-edge / 2, Math.min(edge / 2, latitude * UNITS_PER_DEGREE))
  const inside = new Map<string, boolean>()
  for (let ring = 0; ring < ringStarts.length - 1; ring++) {
    if (isOutsideBox(rings, ring, x, y) || !isInside(rings, ring, x, y)) continue
    // A hole is a ring inside another one of the same country.
    const country = ringCountry(ring)
    inside.set(country, !inside.get(country))
  }
  for (const [country, isIn] of inside) if (isIn) return country
  return null
}

function isOutsideBox({ ringBoxes }: Rings, ring: number, x: number, y: number): boolean {
  const [west, south, east, north] = ringBoxes.subarray(ring * 4, ring * 4 + 4)
  return x < west! || x > east! || y < south! || y > north!
}

/** Counts how often the border crosses the parallel east of the point. */
function isInside(
  { ringStarts, ringLongitudes, ringLatitudes }: Rings,
  ring: number,
  x: number,
  y: number,
): boolean {
  const end = ringStarts[ring + 1]!
  let isIn = false
  for (let to = ringStarts[ring]!, from = end - 1; to < end; from = to++) {
    const y1 = ringLatitudes[from]!
    const y2 = ringLatitudes[to]!
    if (y1 > y === y2 > y) continue
    const x1 = ringLongitudes[from]!
    const x2 = ringLongitudes[to]!
    if (x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) isIn = !isIn
  }
  return isIn
}
