import assert from 'node:assert/strict'
import { test } from 'node:test'
import { extensionOf, pairSidecars } from '../../../web/src/lib/upload/pair-sidecars.ts'

const TYPES = { image: ['.jpg', '.heic'], video: ['.mov'], sidecar: ['.xmp'] }
const pair = (...paths: string[]) =>
  pairSidecars(
    paths.map((path) => ({ source: path, path, size: 1 })),
    TYPES,
  )

test('a sidecar goes with its photo, in both spellings and any case, only within its folder', () => {
  assert.deepEqual(
    pair('a/IMG_1.JPG', 'a/IMG_1.jpg.XMP', 'a/IMG_2.heic', 'a/img_2.xmp', 'b/IMG_2.heic').map(
      ({ name, sidecar }) => [name, sidecar],
    ),
    [
      ['a/IMG_1.JPG', 'a/IMG_1.jpg.XMP'],
      ['a/IMG_2.heic', 'a/img_2.xmp'],
      ['b/IMG_2.heic', null],
    ],
  )
})

test('what the server has no format for is told; what systems leave behind is passed over', () => {
  const chosen = pair('notes.txt', 'README', '.DS_Store', 'x/Thumbs.db', 'x/._IMG_1.jpg', 'clip.mov')
  assert.deepEqual(
    chosen.map(({ name, skip }) => [name, skip !== undefined]),
    [
      ['notes.txt', true],
      ['README', true],
      ['clip.mov', false],
    ],
  )
})

test('a sidecar alone is not silently lost', () => {
  assert.match(pair('IMG_9.xmp')[0]!.skip!, /without its photo/)
})

test('extensions', () => {
  assert.equal(extensionOf('a.b/IMG.tar.JPG'), '.jpg')
  assert.equal(extensionOf('a.b/IMG'), '')
  assert.equal(extensionOf('.jpg'), '')
})
