/**
 * Writes the data as `src/library/places/places-data.ts` reads it, little-endian: the length of the header
 * (uint32), the header (JSON, filled up with spaces to a multiple of 4), and the arrays that it counts.
 */
import type { Place } from './collect-places.ts'
import type { CountryPolygon } from './collect-polygons.ts'

/** Places lie in bands of this height, in each from west to east. The reader has the same number. */
const BANDS_PER_DEGREE = 4
const UNITS_PER_DEGREE = 100_000
const NO_STATE = 0xffff

export function encodePlaces({
  dataOf,
  places,
  polygons,
  countryNames,
}: {
  dataOf: string
  places: readonly Place[]
  polygons: readonly CountryPolygon[]
  countryNames: Record<string, string | string[]>
}): Buffer {
  const sorted = [...places].sort(
    (a, b) =>
      bandOf(a) - bandOf(b) ||
      a.longitude - b.longitude ||
      a.latitude - b.latitude ||
      (a.name < b.name ? -1 : 1),
  )
  const codes = [...new Set([...places, ...polygons].map(({ country }) => country))].sort()
  const codeIndex = new Map(codes.map((code, index) => [code, index]))
  const states = [...new Set(places.flatMap(({ state }) => (state === null ? [] : [state])))].sort()
  const stateIndex = new Map(states.map((state, index) => [state, index]))
  const names = Buffer.from(sorted.map(({ name }) => name).join(''))

  const bandStarts = new Uint32Array(180 * BANDS_PER_DEGREE + 2)
  for (const place of sorted) bandStarts[bandOf(place) + 1]! += 1
  for (let band = 1; band < bandStarts.length; band++) bandStarts[band]! += bandStarts[band - 1]!
  const nameStarts = new Uint32Array(sorted.length + 1)
  for (const [index, { name }] of sorted.entries()) {
    nameStarts[index + 1] = nameStarts[index]! + Buffer.byteLength(name)
  }
  const ringStarts = new Uint32Array(polygons.length + 1)
  for (const [index, { ring }] of polygons.entries()) ringStarts[index + 1] = ringStarts[index]! + ring.length

  const header = JSON.stringify({
    dataOf,
    places: sorted.length,
    rings: polygons.length,
    points: ringStarts[polygons.length],
    nameBytes: names.length,
    countries: codes.map((code) => {
      const name = [countryNames[code]].flat()[0]
      if (name === undefined) throw new Error(`There is no name of ${code}`)
      return name
    }),
    states,
  })
  const text = Buffer.from(header)
  const filled = Buffer.concat([text, Buffer.alloc(-text.length & 3, ' ')])
  const length = Buffer.alloc(4)
  length.writeUInt32LE(filled.length)
  return Buffer.concat([
    ...[length, filled],
    ...[
      bandStarts,
      units(sorted.map(({ latitude }) => latitude)),
      units(sorted.map(({ longitude }) => longitude)),
      nameStarts,
      ringStarts,
      units(polygons.flatMap(({ ring }) => ring.map(([longitude]) => longitude))),
      units(polygons.flatMap(({ ring }) => ring.map(([, latitude]) => latitude))),
      Uint16Array.from(sorted, ({ state }) => (state === null ? NO_STATE : stateIndex.get(state)!)),
      Uint8Array.from(sorted, ({ country }) => codeIndex.get(country)!),
      Uint8Array.from(polygons, ({ country }) => codeIndex.get(country)!),
    ].map((array) => Buffer.from(array.buffer)),
    names,
  ])
}

function bandOf({ latitude }: { latitude: number }): number {
  return Math.floor((Math.round(latitude * UNITS_PER_DEGREE) / UNITS_PER_DEGREE + 90) * BANDS_PER_DEGREE)
}

function units(degrees: readonly number[]): Int32Array {
  return Int32Array.from(degrees, (degree) => Math.round(degree * UNITS_PER_DEGREE))
}
