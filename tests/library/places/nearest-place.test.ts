/** The index against a look at every place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { metresBetween, nearestPlace } from '../../../src/library/places/nearest-place.ts'
import {
  BANDS_PER_DEGREE,
  type PlacesData,
  placesData,
  UNITS_PER_DEGREE,
} from '../../../src/library/places/places-data.ts'

type Point = [latitude: number, longitude: number]

const anywhere = fc.tuple(
  fc.double({ min: -90, max: 90, noNaN: true }),
  fc.double({ min: -180, max: 180, noNaN: true }),
)
/** Where the arithmetic of the index is most likely to be wrong. */
const atEdges = fc.tuple(
  fc.constantFrom(-90, -89.999, -89.9, -89.75, -0.25, 0, 0.25, 60, 89.75, 89.9, 89.999, 90),
  fc.constantFrom(-180, -179.999, -179.9, -90, 0, 90, 179.9, 179.999, 180),
)
const point = fc.oneof(anywhere, atEdges)

/** As the file has them: by band, then from west to east. */
function indexOf(points: readonly Point[]) {
  const units = points
    .map(
      ([latitude, longitude]) =>
        [Math.round(latitude * UNITS_PER_DEGREE), Math.round(longitude * UNITS_PER_DEGREE)] as const,
    )
    .map(([y, x]) => ({ y, x, band: Math.floor((y / UNITS_PER_DEGREE + 90) * BANDS_PER_DEGREE) }))
    .sort((a, b) => a.band - b.band || a.x - b.x || a.y - b.y)
  const bandStarts = new Uint32Array(180 * BANDS_PER_DEGREE + 2)
  for (const { band } of units) bandStarts[band + 1]! += 1
  for (let band = 1; band < bandStarts.length; band++) bandStarts[band]! += bandStarts[band - 1]!
  return {
    bandStarts,
    latitudes: Int32Array.from(units, ({ y }) => y),
    longitudes: Int32Array.from(units, ({ x }) => x),
  }
}

type Index = Pick<PlacesData, 'bandStarts' | 'latitudes' | 'longitudes'>

function metresTo({ latitudes, longitudes }: Index, place: number, [latitude, longitude]: Point): number {
  return metresBetween(
    latitude,
    longitude,
    latitudes[place]! / UNITS_PER_DEGREE,
    longitudes[place]! / UNITS_PER_DEGREE,
  )
}

/** Null: nothing within 25 km. */
function leastByScan(index: Index, point: Point): number | null {
  let least = 25_000
  let isAny = false
  for (let place = 0; place < index.latitudes.length; place++) {
    const metres = metresTo(index, place, point)
    if (metres <= least) {
      least = metres
      isAny = true
    }
  }
  return isAny ? least : null
}

function leastByIndex(index: Index, point: Point): number | null {
  const found = nearestPlace(index, ...point)
  return found === null ? null : metresTo(index, found, point)
}

test('of any places, the index finds one that is as near as the nearest', () => {
  // Places in clusters around the point asked for, or they would never be within 25 km.
  const degrees = (max: number) => fc.double({ min: -max, max, noNaN: true })
  const cases = point.chain((centre) => {
    const near = (y: number, x: number) =>
      fc.tuple(degrees(y), degrees(x)).map(([dy, dx]) => around(centre, dy, dx))
    return fc.tuple(fc.array(fc.oneof(near(0.3, 1), point), { maxLength: 60 }), near(0.1, 0.5))
  })
  let found = 0
  fc.assert(
    fc.property(cases, ([places, asked]) => {
      const index = indexOf(places)
      const least = leastByScan(index, asked)
      assert.equal(leastByIndex(index, asked), least)
      if (least !== null) found += 1
    }),
    { numRuns: 2_000 },
  )
  assert.ok(found > 200, `only ${found} cases had a place near`)
})

/** The longitude goes round the date line. */
function around([latitude, longitude]: Point, y: number, x: number): Point {
  const turned = longitude + x
  return [
    Math.max(-90, Math.min(90, latitude + y)),
    turned > 180 ? turned - 360 : turned < -180 ? turned + 360 : turned,
  ]
}

test('so it does of the real ones', () => {
  const data = placesData()
  const random = fc.sample(fc.nat(data.latitudes.length - 1), { numRuns: 30, seed: 7 })
  for (const place of random) {
    const [latitude, longitude] = [
      data.latitudes[place]! / UNITS_PER_DEGREE,
      data.longitudes[place]! / UNITS_PER_DEGREE,
    ]
    const asked = around([latitude, longitude], ((place % 13) - 6) / 40, ((place % 17) - 8) / 40)
    assert.equal(leastByIndex(data, asked), leastByScan(data, asked), String(asked))
  }
})
