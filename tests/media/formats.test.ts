import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatOf,
  isSidecarName,
  isWebSafe,
  servedType,
  supportedExtensions,
} from '../../src/media/formats.ts'
import { sniffContent } from '../../src/media/metadata/sniff.ts'

test('names: the last extension counts, in any case', () => {
  assert.equal(formatOf('IMG_0001.HEIC')?.mimeType, 'image/heic')
  assert.equal(formatOf('a.png.jpg')?.mimeType, 'image/jpeg')
  assert.equal(formatOf('clip.MOV')?.type, 'VIDEO')
  assert.equal(formatOf('DSC_1.nef')?.decodedBy, 'embedded-jpeg')
  for (const name of ['notes.txt', 'jpg', '', '.', 'photo.', 'a.jpg\0.exe'])
    assert.equal(formatOf(name), null, name)
  assert.ok(isWebSafe('image/jpeg'))
  assert.ok(!isWebSafe('image/heic'))
  assert.ok(!isWebSafe('image/tiff'))
  assert.ok(isSidecarName('x.jpg.XMP'))
})

test('a file is served as what it is; within one container its name decides', () => {
  assert.equal(servedType('image/heic', 'IMG_1.jpg'), 'image/heic')
  assert.equal(servedType('video/mp4', 'IMG_1.jpg'), 'video/mp4')
  assert.equal(servedType('image/jpeg', 'IMG_1.heic'), 'image/jpeg')
  assert.equal(servedType('image/png', 'no extension'), 'image/png')
  assert.equal(servedType('video/quicktime', 'film.mp4'), 'video/mp4')
  assert.equal(servedType('image/heic', 'IMG_1.heif'), 'image/heif')
  assert.equal(servedType('image/svg+xml', 'harmless.png'), 'image/svg+xml')
})

test('extensions carry their dots and none is in two lists', () => {
  const { image, video, sidecar } = supportedExtensions()
  const all = [...image, ...video, ...sidecar]
  assert.equal(new Set(all).size, all.length)
  for (const extension of all) assert.match(extension, /^\.[a-z0-9]+$/)
  for (const extension of ['.jpg', '.heic', '.dng', '.cr3', '.webp', '.avif', '.jxl'])
    assert.ok(image.includes(extension))
  for (const extension of ['.mp4', '.mov', '.mts', '.webm', '.mkv', '.3gp', '.avi'])
    assert.ok(video.includes(extension))
  assert.deepEqual(sidecar, ['.xmp'])
})

test('content is told by its first bytes', () => {
  const told = (head: Buffer | string, name = 'x.bin') =>
    sniffContent(typeof head === 'string' ? Buffer.from(head, 'latin1') : head, name)?.mimeType ?? null
  const ftyp = (brand: string, ...more: string[]) =>
    `\0\0\0${String.fromCharCode(16 + more.length * 4)}ftyp${brand}\0\0\0\0${more.join('')}`
  assert.equal(told('\xff\xd8\xff\xe0'), 'image/jpeg')
  assert.equal(told('\x89PNG\r\n\x1a\n'), 'image/png')
  assert.equal(told('GIF89a'), 'image/gif')
  assert.equal(told('RIFF....WEBPVP8 '), 'image/webp')
  assert.equal(told('RIFF....AVI LIST'), 'video/avi')
  assert.equal(told('II*\0\x08\0\0\0', 'x.tif'), 'image/tiff')
  assert.equal(told('II*\0\x08\0\0\0', 'x.dng'), 'image/x-adobe-dng')
  assert.equal(told('MM\0*\0\0\0\x08', 'x.NEF'), 'image/x-nikon-nef')
  assert.equal(told('II*\0\x10\0\0\0CR\x02\0'), 'image/x-canon-cr2')
  assert.equal(told('FUJIFILMCCD-RAW 0201'), 'image/x-fuji-raf')
  assert.equal(told(ftyp('heic', 'mif1', 'heic')), 'image/heic')
  assert.equal(told(ftyp('mif1', 'mif1', 'avif')), 'image/avif')
  assert.equal(told(ftyp('mif1', 'mif1', 'heic')), 'image/heif')
  assert.equal(told(ftyp('avif', 'mif1')), 'image/avif')
  for (const brand of ['mif2', 'mif3', 'msf1', 'avci', 'avcs', 'jpeg', 'j2ki', 'vvic', 'evbi', 'miaf']) {
    assert.equal(told(ftyp(brand, 'mif1')), 'image/heif', brand)
    assert.equal(told(ftyp(brand)), 'image/heif', brand)
  }
  assert.equal(told(ftyp('mif3', 'avif')), 'image/avif')
  assert.equal(told(ftyp('crx ')), 'image/x-canon-cr3')
  assert.equal(told(ftyp('qt  ')), 'video/quicktime')
  assert.equal(told(ftyp('isom')), 'video/mp4')
  assert.equal(told(ftyp('3gp5')), 'video/3gpp')
  assert.equal(told('\x1a\x45\xdf\xa3\x93\x42\x82\x84webm'), 'video/webm')
  assert.equal(told('\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska'), 'video/x-matroska')
  assert.equal(told('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml')
  const packets = Buffer.alloc(600)
  for (const at of [0, 188, 376]) packets[at] = 0x47
  assert.equal(told(packets), 'video/mp2t')
})

test('where brands leave it open, a name that claims a picture decides', () => {
  const told = (name: string, brand: string, ...more: string[]) =>
    sniffContent(
      Buffer.from(
        `\0\0\0${String.fromCharCode(16 + more.length * 4)}ftyp${brand}\0\0\0\0${more.join('')}`,
        'latin1',
      ),
      name,
    )?.mimeType ?? null
  // A brand that nobody has heard of.
  assert.equal(told('x.heic', 'zzzz'), 'image/heif')
  assert.equal(told('x.mp4', 'zzzz'), 'video/mp4')
  // A film's brand first, and pictures among the others.
  assert.equal(told('x.heic', 'isom', 'mif1', 'heic'), 'image/heif')
  assert.equal(told('x.mp4', 'isom', 'mif1', 'heic'), 'video/mp4')
  // A film that is called a picture stays one.
  for (const brand of ['isom', 'mp42', 'qt  ', '3gp5', 'M4V ', 'avc1']) {
    assert.match(told('x.jpg', brand, 'mp41')!, /^video\//, brand)
  }
  // What is a picture by its brand stays one, whatever its name is.
  assert.equal(told('x.mp4', 'heic', 'mif1'), 'image/heic')
})

test('what tells nothing is nothing, whatever it is called', () => {
  for (const head of [
    '',
    'hello',
    '#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd',
    'ffconcat version 1.0',
    '<html><svg',
  ]) {
    assert.equal(sniffContent(Buffer.from(head), 'x.mp4'), null, head)
  }
  const film = Buffer.from('\0\0\0\x20ftypisomwhatever')
  for (let length = 0; length <= film.length; length++) {
    assert.doesNotThrow(() => sniffContent(film.subarray(0, length), 'x.mp4'), `${length} bytes`)
  }
})
