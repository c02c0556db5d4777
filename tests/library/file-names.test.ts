/** Names that every file system takes, and what belongs to one photo side by side. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { namesOf, safeName } from '../../src/library/file-names.ts'

test('a name stays what it is, unless a file system would not take it', () => {
  const cases: [string, string][] = [
    ['IMG_1.HEIC', 'IMG_1.HEIC'],
    ['Ostern à Genève (2).jpg', 'Ostern à Genève (2).jpg'],
    ['../../etc/passwd', '__.._etc_passwd'],
    ['a/b\\c:d*e?f"g<h>i|j\n.jpg', 'a_b_c_d_e_f_g_h_i_j_.jpg'],
    ['con.jpg', '_con.jpg'],
    ['LPT1', '_LPT1'],
    ['trailing. . ', 'trailing'],
    ['.hidden', '_hidden'],
    ['', 'fallback'],
    ['...', 'fallback'],
  ]
  for (const [name, safe] of cases) assert.equal(safeName(name, 'fallback'), safe, name)
})

test('a long name keeps its extension, and no character is cut in two', () => {
  const name = safeName(`${'ü'.repeat(300)}.jpeg`, 'x')
  assert.ok(name.endsWith('.jpeg') && Buffer.byteLength(name) <= 200)
  assert.equal(name.toWellFormed(), name)
})

test('whatever a file is called, its name is one that can be written everywhere', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (name) => {
      const safe = safeName(name, 'fallback')
      assert.ok(Buffer.byteLength(safe) <= 201 && safe !== '.' && safe !== '..' && !/[/\\\0\n]/.test(safe))
      assert.equal(safeName(safe, 'fallback'), safe)
    }),
    { numRuns: 30 },
  )
})

test('photo, film and sidecar get the same number, and capitals make no difference', () => {
  const taken = new Set<string>()
  const live = { original: 'IMG_1.HEIC', film: 'anything.MOV', hasSidecar: true }
  assert.deepEqual(namesOf(live, taken), {
    original: 'IMG_1.HEIC',
    film: 'IMG_1.MOV',
    sidecar: 'IMG_1.HEIC.xmp',
  })
  assert.deepEqual(namesOf({ original: 'img_1.mov', film: null, hasSidecar: false }, taken), {
    original: 'img_1 (2).mov',
    film: null,
    sidecar: null,
  })
  assert.deepEqual(namesOf(live, taken), {
    original: 'IMG_1 (3).HEIC',
    film: 'IMG_1 (3).MOV',
    sidecar: 'IMG_1 (3).HEIC.xmp',
  })
})

test('a film with the extension of its still gets a name of its own', () => {
  const { original, film } = namesOf({ original: 'a.mp4', film: 'b.mp4', hasSidecar: false }, new Set())
  assert.deepEqual([original, film], ['a.mp4', 'a.mp4.mp4'])
})
