/** Path templates: Immich's variables and presets, on names that every file system takes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PATH_OPTIONS, PATH_PRESETS } from '../../../src/library/path-templates/presets.ts'
import { parsePathTemplate } from '../../../src/library/path-templates/template.ts'
import { type PathSubject, TIME_TOKENS, VARIABLES } from '../../../src/library/path-templates/variables.ts'

const PHOTO: PathSubject = {
  ...{ assetId: '0f9a6d3e-1b2c-4d5e-8f90-a1b2c3d4e5f6', name: 'IMG_0042.HEIC', type: 'IMAGE' },
  // A Monday, and of the week that belongs to the next year.
  takenAt: new Date('2024-12-30T15:04:05.006Z'),
  ...{ make: 'Apple', model: 'iPhone 15', lensModel: null },
  album: {
    name: 'New Year',
    startsAt: new Date('2023-01-02T00:00:00Z'),
    endsAt: new Date('2025-02-03T00:00:00Z'),
  },
}
const pathOf = (template: string, photo: Partial<PathSubject> = {}) =>
  parsePathTemplate(template, '--template')
    .pathOf({ ...PHOTO, ...photo })
    .join('/')

test('each variable has its value', () => {
  const values: Record<string, string> = {
    ...{ y: '2024', yy: '24', M: '12', MM: '12', MMM: 'Dec', MMMM: 'December', W: '1', WW: '01' },
    ...{ d: '30', dd: '30', h: '3', hh: '03', H: '15', HH: '15', m: '4', mm: '04', s: '5', ss: '05' },
    ...{ SSS: '006', filename: 'IMG_0042', ext: 'heic', filetype: 'IMG', filetypefull: 'IMAGE' },
    ...{ assetId: PHOTO.assetId, assetIdShort: 'a1b2c3d4e5f6', make: 'Apple', model: 'iPhone 15' },
    ...{ lensModel: '', album: 'New Year', 'album-startDate-y': '2023', 'album-startDate-MM': '01' },
    ...{ 'album-endDate-y': '2025', 'album-endDate-dd': '03' },
  }
  for (const [name, value] of Object.entries(values)) assert.equal(VARIABLES.get(name)!(PHOTO), value, name)
  // 19 of the time, each thrice, and 10 others.
  assert.equal(VARIABLES.size, 19 * 3 + 10)
})

test('each token of a time is offered once', () => {
  const { presetOptions: _, ...tokens } = PATH_OPTIONS
  assert.deepEqual(Object.values(tokens).flat().sort(), Object.keys(TIME_TOKENS).sort())
})

test('weeks are those of ISO 8601, as another calendar counts them', () => {
  // From `date -d DAY +%V`.
  const weeks: [string, string][] = [
    ...([
      ['2021-01-03', '53'],
      ['2021-01-04', '1'],
      ['2020-12-31', '53'],
      ['2026-12-31', '53'],
    ] as [string, string][]),
    ...([
      ['2018-12-31', '1'],
      ['2023-01-01', '52'],
      ['2024-02-29', '9'],
      ['2027-01-03', '53'],
    ] as [string, string][]),
  ]
  for (const [day, week] of weeks)
    assert.equal(pathOf('{{W}}', { takenAt: new Date(`${day}T23:59:59Z`) }), week, day)
})

test('presets make the paths that they promise', () => {
  const albumless = { album: null }
  assert.equal(pathOf(PATH_PRESETS[0]!), '2024/2024-12-30/IMG_0042')
  assert.equal(pathOf(PATH_PRESETS[4]!), '2024/New Year/IMG_0042')
  assert.equal(pathOf(PATH_PRESETS[4]!, albumless), '2024/Other/12/IMG_0042')
  assert.equal(pathOf(PATH_PRESETS[5]!), '2023/New Year/IMG_0042')
  assert.equal(pathOf(PATH_PRESETS[5]!, albumless), '2024/Other/12/IMG_0042')
  assert.equal(pathOf('{{album}}/{{filename}}', albumless), 'IMG_0042')
  assert.equal(pathOf(PATH_PRESETS[20]!), 'Apple/iPhone 15/IMG_0042')
  assert.equal(pathOf('{{album}}', albumless), PHOTO.assetId, 'where nothing is left')
  for (const preset of PATH_PRESETS) assert.ok(pathOf(preset).length > 0, preset)
})

test('names are not HTML, and no value makes a folder of its own', () => {
  assert.equal(pathOf('{{album}}/{{filename}}', { name: 'Tom & Jerry.jpg' }), 'New Year/Tom & Jerry')
  const album = { ...PHOTO.album!, name: '../../etc' }
  assert.equal(pathOf('{{album}}/x', { album }), '__.._etc/x')
  assert.equal(pathOf('../{{y}}/./a'), '2024/a')
})

test('what is no template is refused with what is wrong', () => {
  const refused: [string, RegExp][] = [
    ['{{y}}/{{month}}', /no variable \{\{month\}\}/],
    ['{{constructor}}', /no variable \{\{constructor\}\}/],
    ['{{this}}', /no variable/],
    ['{{../y}}', /no variable/],
    ['{{#each y}}a{{/each}}', /\{\{#each\}\} is not possible/],
    ['{{lookup y 0}}', /takes nothing after its name/],
    ['{{#if y MM}}a{{/if}}', /takes one variable/],
    ['{{#if (lookup y 0)}}a{{/if}}', /no variable/],
    ['{{> part}}', /only variables/],
    ['{{#if y}}', /cannot be read/],
    ['{{y', /cannot be read/],
    ['a/'.repeat(21), /at most 20 folders/],
    ['a'.repeat(1_001), /at most 1000 characters/],
  ]
  for (const [template, message] of refused)
    assert.throws(() => parsePathTemplate(template, '--template'), { code: 'invalid', message }, template)
})

test('whatever the values are, each part is one name, and there is at least one', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 })
  fc.assert(
    fc.property(text, text, text, fc.constantFrom(...PATH_PRESETS), (name, make, album, preset) => {
      const parts = parsePathTemplate(preset, 'x').pathOf({
        ...{ ...PHOTO, name, make, model: make },
        album: { ...PHOTO.album!, name: album },
      })
      assert.ok(parts.length > 0)
      for (const part of parts) {
        assert.ok(part !== '' && part !== '.' && part !== '..')
        assert.doesNotMatch(part, /[/\\\0]/)
        assert.ok(Buffer.byteLength(part) <= 255)
      }
    }),
  )
})
