import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findPlace } from '../../../src/library/places/find-place.ts'

const at = (latitude: number, longitude: number) => {
  const { city, state, country } = findPlace({ latitude, longitude })
  return [city, state, country]
}
const NOWHERE = [null, null, null]
const only = (country: string) => [null, null, country]

test('a city has its own name, not that of one of its sections', () => {
  assert.deepEqual(at(52.52, 13.405), ['Berlin', 'State of Berlin', 'Germany'])
  assert.deepEqual(at(48.8601, 2.3507), ['Paris', 'Île-de-France', 'France'])
  assert.deepEqual(at(40.7128, -74.006), ['New York City', 'New York', 'United States of America'])
  assert.deepEqual(at(50.4476, 30.5264), ['Kyiv', 'Kyiv City', 'Ukraine'])
})

test('the suburbs of Australia keep their names', () => {
  assert.deepEqual(at(-33.8915, 151.2767), ['Bondi Beach', 'New South Wales', 'Australia'])
  assert.deepEqual(at(-33.8837, 151.2128), ['Surry Hills', 'New South Wales', 'Australia'])
})

test('countries have their long names', () => {
  assert.deepEqual(at(39.9042, 116.4074), ['Beijing', 'Beijing', "People's Republic of China"])
  assert.deepEqual(at(55.7558, 37.6173), ['Moscow', 'Moscow', 'Russian Federation'])
})

test('a place without a division has none', () => {
  assert.deepEqual(at(41.9022, 12.4539), ['Vatican City', null, 'Holy See (Vatican City State)'])
})

test('each side of a border has its own places', () => {
  assert.deepEqual(at(47.5601, 9.5925).slice(2), ['Germany'])
  assert.deepEqual(at(42.3314, -83.0458), ['Detroit', 'Michigan', 'United States of America'])
  assert.deepEqual(at(42.3, -83.02), ['Windsor', 'Ontario', 'Canada'])
})

test('away from places there is the country alone, or the territory', () => {
  assert.deepEqual(at(72, -40), only('Greenland'))
  assert.deepEqual(at(23, 10), only('Algeria'))
  assert.deepEqual(at(78.9, 16), only('Svalbard and Jan Mayen'))
  assert.deepEqual(at(-75, 100), only('Antarctica'))
})

test('at sea there is nothing', () => {
  assert.deepEqual(at(30, -40), NOWHERE)
  assert.deepEqual(at(0, 0), NOWHERE)
})

test('the date line has the same on both sides', () => {
  for (const latitude of [-16.8, -16.5, 0, 66, 68, 71, 89]) {
    assert.deepEqual(at(latitude, 180), at(latitude, -180), String(latitude))
  }
  assert.deepEqual(at(68, 180), only('Russian Federation'))
  // Waiyevo on Taveuni lies 179.98 degrees west, this point east of the line.
  assert.deepEqual(at(-16.79, 179.95).slice(2), ['Fiji'])
  assert.equal(at(-16.79, 179.99)[0], at(-16.79, -179.99)[0])
})

test('poles are like other points', () => {
  for (const longitude of [-180, -90, 0, 13.4, 180]) {
    assert.deepEqual(at(90, longitude), NOWHERE)
    assert.deepEqual(at(-90, longitude), only('Antarctica'))
  }
})

test('what is not on earth is nowhere', () => {
  for (const [latitude, longitude] of [
    [90.001, 0],
    [0, 180.001],
    [Number.NaN, 0],
    [0, Number.POSITIVE_INFINITY],
  ]) {
    assert.deepEqual(at(latitude!, longitude!), NOWHERE)
  }
})
