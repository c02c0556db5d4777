/** Which polygons belong to which country, of country-coder's `borders.json`. */

type Feature = {
  properties: { iso1A2?: string; country?: string; groups?: string[] }
  geometry: { coordinates: [longitude: number, latitude: number][][][] } | null
}
/** Rings of one country or dependent territory; a point is inside when it is inside an odd number of them. */
export type CountryPolygon = { country: string; ring: [longitude: number, latitude: number][] }

/**
 * Of the smallest area whose ISO code has a name: Greenland, Puerto Rico and Svalbard have their own. What
 * has none and belongs to no country is left out.
 */
export function collectPolygons(
  { features }: { features: readonly Feature[] },
  countryNames: Record<string, unknown>,
): CountryPolygon[] {
  return features.flatMap(({ properties: { iso1A2, groups = [], country }, geometry }) => {
    const code = [iso1A2, ...groups, country].find(
      (one) => one !== undefined && Object.hasOwn(countryNames, one),
    )
    if (geometry === null || code === undefined) return []
    return geometry.coordinates.flat().map((ring) => ({ country: code, ring }))
  })
}
