/**
 * The world's places as typed arrays: 5.7 MB outside the JavaScript heap, unpacked when a process first asks
 * for a place. `packages/places` makes the file and says where its content comes from.
 */
import { readFileSync } from 'node:fs'
import { brotliDecompressSync } from 'node:zlib'

/**
 * Counts up with each newer file, so that what an older one has named can be told. What is named stays as it
 * is until somebody asks for newer names.
 */
export const PLACES_VERSION = 1

const FILE = new URL('../../../packages/places/places.bin.br', import.meta.url)
/** Places are sorted by bands of latitude of this height, and from west to east in each. */
export const BANDS_PER_DEGREE = 4
export const UNITS_PER_DEGREE = 100_000
const NO_STATE = 0xffff

export type PlacesData = {
  /** The day of the newest places, `YYYY-MM-DD`. */
  dataOf: string
  /** Of each band from the south on, its first place; and the end of the last. */
  bandStarts: Uint32Array
  /** In 1/100,000 degrees, as all coordinates here. */
  latitudes: Int32Array
  longitudes: Int32Array
  /** The border of each ring, and the end of the last. */
  ringStarts: Uint32Array
  ringLongitudes: Int32Array
  ringLatitudes: Int32Array
  /** West, south, east and north of each ring. */
  ringBoxes: Int32Array
  ringCountry: (ring: number) => string
  nameOf: (place: number) => string
  /** Null: the place belongs to no first-level division that has a name. */
  stateOf: (place: number) => string | null
  countryOf: (place: number) => string
}

type Header = {
  dataOf: string
  places: number
  rings: number
  points: number
  nameBytes: number
  countries: string[]
  states: string[]
}

let loaded: PlacesData | undefined

/** Takes 50 ms the first time. */
export function placesData(): PlacesData {
  loaded ??= decode(brotliDecompressSync(readFileSync(FILE)))
  return loaded
}

/** As `packages/places/encode.ts` writes it. */
function decode(bytes: Buffer): PlacesData {
  const headerLength = bytes.readUInt32LE(0)
  const header: Header = JSON.parse(bytes.toString('utf8', 4, 4 + headerLength))
  // A copy of its own: the decompressor's buffer is larger, and need not begin at a multiple of 4.
  const { buffer } = Uint8Array.from(bytes.subarray(4 + headerLength))
  let at = 0
  const take = <View>(
    View: new (buffer: ArrayBuffer, at: number, length: number) => View,
    length: number,
    size: number,
  ) => {
    const view = new View(buffer, at, length)
    at += length * size
    return view
  }
  const { places, rings, points, nameBytes, countries, states } = header
  const bandStarts = take(Uint32Array, 180 * BANDS_PER_DEGREE + 2, 4)
  const latitudes = take(Int32Array, places, 4)
  const longitudes = take(Int32Array, places, 4)
  const nameStarts = take(Uint32Array, places + 1, 4)
  const ringStarts = take(Uint32Array, rings + 1, 4)
  const ringLongitudes = take(Int32Array, points, 4)
  const ringLatitudes = take(Int32Array, points, 4)
  const stateIndexes = take(Uint16Array, places, 2)
  const countryIndexes = take(Uint8Array, places, 1)
  const ringCountries = take(Uint8Array, rings, 1)
  const names = Buffer.from(take(Uint8Array, nameBytes, 1).buffer, at - nameBytes, nameBytes)
  return {
    ...{
      dataOf: header.dataOf,
      bandStarts,
      latitudes,
      longitudes,
      ringStarts,
      ringLongitudes,
      ringLatitudes,
    },
    ringBoxes: boxesOf(ringStarts, ringLongitudes, ringLatitudes),
    ringCountry: (ring) => countries[ringCountries[ring]!]!,
    nameOf: (place) => names.toString('utf8', nameStarts[place], nameStarts[place + 1]),
    stateOf: (place) => (stateIndexes[place] === NO_STATE ? null : states[stateIndexes[place]!]!),
    countryOf: (place) => countries[countryIndexes[place]!]!,
  }
}

function boxesOf(starts: Uint32Array, longitudes: Int32Array, latitudes: Int32Array): Int32Array {
  const boxes = new Int32Array((starts.length - 1) * 4)
  for (let ring = 0; ring < starts.length - 1; ring++) {
    const x = longitudes.subarray(starts[ring], starts[ring + 1])
    const y = latitudes.subarray(starts[ring], starts[ring + 1])
    boxes.set([Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)], ring * 4)
  }
  return boxes
}
