/** Places as GeoNames publishes them: lines of 19 fields between tabs. */

export type GeoPlace = {
  name: string
  latitude: number
  longitude: number
  country: string
  /** The first-level division's code, within the country; empty: none. */
  state: string
  /** As PPLA (seat of a division), PPLX (section of a populated place). */
  feature: string
  population: number
}

/** The lines of `cities500.txt` (https://download.geonames.org/export/dump/). */
export function readGeonames(text: string): GeoPlace[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const field = line.split('\t')
      return {
        name: field[1]!,
        latitude: Number(field[4]),
        longitude: Number(field[5]),
        country: field[8]!,
        state: field[10]!,
        feature: field[7]!,
        population: Number(field[14]),
      }
    })
}
