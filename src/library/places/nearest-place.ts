import { BANDS_PER_DEGREE, type PlacesData, UNITS_PER_DEGREE } from './places-data.ts'

/** As far as Immich looks. */
const MAX_METRES = 25_000
/** The mean radius. */
const EARTH_METRES = 6_371_009
const RADIANS = Math.PI / 180
const FULL_TURN = 360 * UNITS_PER_DEGREE
/** Half a degree of latitude is 55 km: of bands of 0.25 degrees, 25 km reach the next ones alone. */
const REACH_DEGREES = MAX_METRES / EARTH_METRES / RADIANS

type Places = Pick<PlacesData, 'bandStarts' | 'latitudes' | 'longitudes'>

/** The number of the nearest place within 25 km as the crow flies; null: there is none. */
export function nearestPlace(places: Places, latitude: number, longitude: number): number | null {
  const search: Search = { places, latitude, longitude, nearest: null, metres: MAX_METRES }
  const band = (degrees: number) => Math.floor((degrees + 90) * BANDS_PER_DEGREE)
  const own = band(latitude)
  const lowest = Math.max(0, band(latitude - REACH_DEGREES))
  const highest = Math.min(places.bandStarts.length - 2, band(latitude + REACH_DEGREES))
  lookIn(search, own)
  for (let other = lowest; other <= highest; other++) if (other !== own) lookIn(search, other)
  return search.nearest
}

type Search = {
  places: Places
  latitude: number
  longitude: number
  nearest: number | null
  /** To the nearest so far. */
  metres: number
}

/**
 * Looks at the places of a band of latitude, westwards and eastwards from the point and across the date line,
 * until none there can be nearer than what was found.
 */
function lookIn(search: Search, band: number): void {
  const { longitudes, bandStarts } = search.places
  const start = bandStarts[band]!
  const count = bandStarts[band + 1]! - start
  if (count === 0) return
  const here = Math.round(search.longitude * UNITS_PER_DEGREE)
  const first = lowerBound(longitudes, start, start + count, here) - start
  for (const step of [1, -1]) {
    const from = step === 1 ? first : first - 1
    for (let walked = 0; walked < count; walked++) {
      const place = start + ((((from + step * walked) % count) + count) % count)
      const apart = (((step * (longitudes[place]! - here)) % FULL_TURN) + FULL_TURN) % FULL_TURN
      if (apart > FULL_TURN / 2 || leastMetres(search, apart) > search.metres) break
      consider(search, place)
    }
  }
}

/** The least distance of the point to anything at the meridian that is so many units east or west of it. */
function leastMetres({ latitude }: Search, units: number): number {
  const degrees = units / UNITS_PER_DEGREE
  const sine = Math.cos(latitude * RADIANS) * (degrees >= 90 ? 1 : Math.sin(degrees * RADIANS))
  return Math.asin(Math.min(1, sine)) * EARTH_METRES - 1
}

function consider(search: Search, place: number): void {
  const { latitudes, longitudes } = search.places
  const latitude = latitudes[place]! / UNITS_PER_DEGREE
  const metres = metresBetween(
    search.latitude,
    search.longitude,
    latitude,
    longitudes[place]! / UNITS_PER_DEGREE,
  )
  const isNearer =
    metres < search.metres || (metres === search.metres && place < (search.nearest ?? Infinity))
  if (!isNearer) return
  search.nearest = place
  search.metres = metres
}

/** The haversine formula. */
export function metresBetween(
  latitude1: number,
  longitude1: number,
  latitude2: number,
  longitude2: number,
): number {
  const y = Math.sin(((latitude2 - latitude1) * RADIANS) / 2)
  const x = Math.sin(((longitude2 - longitude1) * RADIANS) / 2)
  const a = y * y + Math.cos(latitude1 * RADIANS) * Math.cos(latitude2 * RADIANS) * x * x
  return 2 * EARTH_METRES * Math.asin(Math.sqrt(Math.min(1, a)))
}

/** The first of those between that is not below the value. */
function lowerBound(values: Int32Array, start: number, end: number, value: number): number {
  let low = start
  let high = end
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
