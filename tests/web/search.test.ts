import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDays } from '../../web/src/lib/search/dates.ts'
import { interpret, type KnownValues } from '../../web/src/lib/search/interpret.ts'
import {
  chipsOf,
  readQuery,
  type SearchQuery,
  toSearchBody,
  withoutKeys,
  writeQuery,
} from '../../web/src/lib/search/query.ts'

/** A Wednesday in winter. */
const NOW = new Date(2024, 0, 17, 12)
const KNOWN: KnownValues = {
  city: ['Berlin', 'Köln', 'Neu-Ulm', 'Ulm'],
  state: ['Berlin'],
  country: ['Germany'],
  make: ['Canon', 'NIKON CORPORATION'],
  model: ['Canon EOS 6D', 'Canon PowerShot G11', 'NIKON D750', 'EOS M50 of Canon', 'Canonet'],
  lensModel: ['EF 24-105mm'],
}

test('times that people write become whole days', () => {
  const cases: [string, [string, string, string] | null][] = [
    ['2019', ['2019-01-01', '2019-12-31', '2019']],
    ['07/2019', ['2019-07-01', '2019-07-31', 'July 2019']],
    ['7.2019', ['2019-07-01', '2019-07-31', 'July 2019']],
    ['July 2019', ['2019-07-01', '2019-07-31', 'July 2019']],
    ['1.7.2019', ['2019-07-01', '2019-07-01', 'Monday 1 July 2019']],
    ['1/7/2019', ['2019-07-01', '2019-07-01', 'Monday 1 July 2019']],
    ['2019-07-14', ['2019-07-14', '2019-07-14', 'Sunday 14 July 2019']],
    ['29.2.2023', null],
    ['13/2019', null],
    ['today', ['2024-01-17', '2024-01-17', 'Today']],
    ['Yesterday', ['2024-01-16', '2024-01-16', 'Yesterday']],
    ['last week', ['2024-01-08', '2024-01-14', 'Last week']],
    ['last month', ['2023-12-01', '2023-12-31', 'December 2023']],
    ['last year', ['2023-01-01', '2023-12-31', '2023']],
    ['last summer', ['2023-06-01', '2023-08-31', 'Summer 2023']],
    // The one that is not over is this winter.
    ['last winter', ['2022-12-01', '2023-02-28', 'Winter 2022']],
    ['this winter', ['2023-12-01', '2024-02-29', 'Winter 2023']],
    ['summer 2019', ['2019-06-01', '2019-08-31', 'Summer 2019']],
    ['october', ['2023-10-01', '2023-10-31', 'October 2023']],
    ['summer', null],
    ['berlin', null],
    ['IMG_2041', null],
  ]
  for (const [text, expected] of cases) {
    const range = parseDays(text, NOW)
    assert.deepEqual(range && [range.from, range.to, range.label], expected, text)
  }
})

test('a typed text means a date, a kind, a place or a camera before it means a part of a name', () => {
  const first = (text: string) => interpret(text, KNOWN, NOW)[0]
  const cases: [string, SearchQuery][] = [
    ['canon', { make: 'Canon' }],
    ['KOLN', { city: 'Köln' }],
    ['ulm', { city: 'Ulm' }],
    ['berlin', { city: 'Berlin' }],
    ['germ', { country: 'Germany' }],
    ['video', { type: 'VIDEO' }],
    ['favorites', { isFavorite: true }],
    ['4 stars', { rating: 4 }],
    ['★★', { rating: 2 }],
    ['last summer', { takenFrom: '2023-06-01', takenTo: '2023-08-31' }],
    ['canon 2019', { make: 'Canon', takenFrom: '2019-01-01', takenTo: '2019-12-31' }],
    ['videos last year', { type: 'VIDEO', takenFrom: '2023-01-01', takenTo: '2023-12-31' }],
    ['IMG_2041', { originalFileName: 'IMG_2041' }],
  ]
  for (const [text, query] of cases) assert.deepEqual(first(text)?.query, query, text)
  assert.deepEqual(interpret('  ', KNOWN, NOW), [])
  const last = interpret('canon', KNOWN, NOW).slice(-2)
  assert.deepEqual(
    last.map(({ query }) => query),
    [{ originalFileName: 'canon' }, { description: 'canon' }],
    'a name can be searched for whatever else it means',
  )
})

test('a search lives in the address and comes back from it', () => {
  const query: SearchQuery = {
    make: 'Canon',
    type: 'IMAGE',
    rating: 0,
    isFavorite: true,
    takenFrom: '2019-07-01',
    takenTo: '2019-07-31',
    description: 'a & b',
  }
  assert.deepEqual(readQuery(new URLSearchParams(writeQuery(query))), query)
  assert.deepEqual(
    readQuery(new URLSearchParams('rating=9&type=CAT&takenFrom=soon&isFavorite=no&make=&else=1')),
    {},
  )
})

test('chips say what is asked and take it away again', () => {
  const query: SearchQuery = {
    make: 'Canon',
    model: 'Canon EOS 6D',
    takenFrom: '2019-06-01',
    takenTo: '2019-08-31',
    isNotInAlbum: true,
  }
  const chips = chipsOf(query)
  assert.deepEqual(
    chips.map((chip) => chip.label),
    ['Camera: Canon EOS 6D', 'In no album', 'June 2019 to August 2019'],
  )
  assert.deepEqual(withoutKeys(query, chips[0]!.keys), {
    takenFrom: '2019-06-01',
    takenTo: '2019-08-31',
    isNotInAlbum: true,
  })
  assert.deepEqual(
    chipsOf({ takenFrom: '2019-01-01', takenTo: '2019-12-31' }).map((chip) => chip.label),
    ['2019'],
  )
})

test('the server is asked in its own terms', () => {
  const body = toSearchBody({ rating: 0, isArchived: true, takenFrom: '2019-07-01', takenTo: '2019-07-01' })
  assert.equal(body.rating, null)
  assert.equal(body.visibility, 'archive')
  const span = Date.parse(String(body.takenBefore)) - Date.parse(String(body.takenAfter))
  assert.equal(span, 86_399_999, 'one whole day')
})
