import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatOf, isSidecarName, supportedExtensions } from '../../src/media/formats.ts'
import { sniffContent } from '../../src/media/sniff.ts'

test('names: the last extension counts, in any case', () => {
  assert.equal(formatOf('IMG_0001.HEIC')?.mimeType, 'image/heic')
  assert.equal(formatOf('a.png.jpg')?.mimeType, 'image/jpeg')
  assert.equal(formatOf('clip.MOV')?.type, 'VIDEO')
  assert.equal(formatOf('DSC_1.nef')?.decodedBy, 'embedded-jpeg')
  for (const name of ['notes.txt', 'jpg', '', '.', 'photo.', 'a.jpg\0.exe'])
    assert.equal(formatOf(name), null, name)
  assert.equal(formatOf('x.jpg')?.isWebSafe, true)
  assert.equal(formatOf('x.heic')?.isWebSafe, false)
  assert.equal(formatOf('x.tiff')?.isWebSafe, false)
  assert.ok(isSidecarName('x.jpg.XMP'))
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
  for (let length = 0; length < 40; length++) {
    sniffContent(Buffer.from('\0\0\0\x20ftypisomwhatever').subarray(0, length), 'x.mp4')
  }
})
