/** What a place on earth is called, without asking anybody. */
import { countryAt } from './country-at.ts'
import { nearestPlace } from './nearest-place.ts'
import { type PlacesData, placesData } from './places-data.ts'

/** English names, as Immich's clients show them. */
export type PlaceNames = {
  city: string | null
  /** The first-level division: a federal state, a region, a province. */
  state: string | null
  /** In its long form, as "United States of America". */
  country: string | null
}

export const NO_PLACE: PlaceNames = { city: null, state: null, country: null }

/**
 * The nearest place within 25 km and where it belongs; away from all places the country alone; at sea
 * nothing.
 * @param coordinates degrees, latitude from -90 to 90, longitude from -180 to 180; others are nowhere
 */
export function findPlace({ latitude, longitude }: { latitude: number; longitude: number }): PlaceNames {
  if (!(Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180)) return NO_PLACE
  const data = placesData()
  const place = nearestPlace(data, latitude, longitude)
  if (place === null) return { ...NO_PLACE, country: countryOf(data, latitude, longitude) }
  return { city: data.nameOf(place), state: data.stateOf(place), country: data.countryOf(place) }
}

/** The date line has a west and an east side, and both are the same place. */
function countryOf(data: PlacesData, latitude: number, longitude: number): string | null {
  const country = countryAt(data, latitude, longitude)
  return country === null && Math.abs(longitude) === 180 ? countryAt(data, latitude, -longitude) : country
}
