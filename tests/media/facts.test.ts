import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ExifDateTime, type Tags } from 'exiftool-vendored'
import sharp from 'sharp'
import type { MediaFacts } from '../../src/media/facts.ts'
import { factsFromTags } from '../../src/media/metadata/exif-facts.ts'
import { cleanText } from '../../src/media/metadata/values.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

type Expected = Partial<Omit<MediaFacts, 'takenAt'>> & { takenAt?: string | null }

const REAL: [file: string, expected: Expected][] = [
  [
    'exif-samples/jpg/gps/DSCN0010.jpg', // no offset: the zone comes from the position
    {
      mimeType: 'image/jpeg',
      width: 640,
      height: 480,
      orientation: 1,
      takenAt: '2008-10-22T14:28:39.000Z',
      localDateTime: '2008-10-22T16:28:39.000',
      timeZone: 'Europe/Rome',
      latitude: 43.467448,
      longitude: 11.885127,
      make: 'NIKON',
      model: 'COOLPIX P6000',
      fNumber: 5.9,
      focalLength: 24,
      iso: 64,
      exposureTime: '1/75',
      description: null, // 31 blanks
      rating: null,
    },
  ],
  [
    'exif-samples/heic/mobile/iphone_13_pro_max.HEIC', // offset and sub-seconds, turned by the container
    {
      mimeType: 'image/heic',
      width: 3024,
      height: 4032,
      exifImageWidth: 4032,
      exifImageHeight: 3024,
      orientation: 6,
      takenAt: '2022-02-16T11:55:41.762Z',
      localDateTime: '2022-02-16T12:55:41.762',
      timeZone: 'UTC+01:00',
      latitude: null,
      longitude: null,
      lensModel: 'iPhone 13 Pro Max back triple camera 5.7mm f/1.5',
      exposureTime: '1/60',
      fNumber: 1.5,
    },
  ],
  [
    'metadata-extractor/heic/IMG_1034.heic', // east of Greenwich
    {
      takenAt: '2018-02-05T07:11:44.277Z',
      localDateTime: '2018-02-05T15:11:44.277',
      timeZone: 'Asia/Shanghai',
    },
  ],
  [
    'metadata-extractor/heic/IMG_2927.HEIC', // half of a live photo
    {
      timeZone: 'UTC-04:00',
      takenAt: '2020-05-04T22:39:11.644Z',
      livePhotoId: '1745E022-9712-43C7-B024-F308EC6413CB',
    },
  ],
  [
    'exif-samples/jpg/hdr/canon_hdr_NO.jpg', // the zone is among the maker's own notes
    {
      takenAt: '2015-02-09T21:47:44.000Z',
      localDateTime: '2015-02-09T22:47:44.000',
      timeZone: 'UTC+01:00',
      width: 1536,
      height: 2048,
      exifImageWidth: 2048,
      exifImageHeight: 1536,
      orientation: 6,
    },
  ],
  [
    'metadata-extractor/jpg/Canon EOS 7D.jpg',
    { lensModel: 'Canon EF 24-70mm f/2.8L USM', exposureTime: '1/125' },
  ],
  [
    'exif-samples/jpg/mobile/jolla.jpg', // no zone to be had: the wall clock read as UTC
    { takenAt: '2014-09-21T16:00:56.000Z', localDateTime: '2014-09-21T16:00:56.000', timeZone: null },
  ],
  [
    'metadata-extractor/mov/with-gps.mov', // a film that is turned, with Apple's CreationDate
    {
      type: 'VIDEO',
      mimeType: 'video/quicktime',
      width: 320,
      height: 568,
      takenAt: '2019-07-24T08:25:40.000Z',
      localDateTime: '2019-07-24T11:25:40.000',
      timeZone: 'UTC+03:00',
      latitude: 32.0929,
      longitude: 34.862,
      durationMs: 4002,
      fps: 29.988,
      make: 'Apple',
      model: 'iPhone 6',
      video: {
        codec: 'h264',
        audioCodec: 'aac',
        container: 'mov',
        isWebPlayable: true,
        rotation: 90,
        pixelFormat: 'yuv420p',
        isHdr: false,
      },
    },
  ],
  [
    'metadata-extractor/mp4/FLIR Thermal.mp4', // UTC in the file, the place known
    {
      takenAt: '2021-05-16T19:27:55.000Z',
      localDateTime: '2021-05-16T12:27:55.000',
      timeZone: 'America/Los_Angeles',
    },
  ],
  [
    'metadata-extractor/mp4/ftyp3gp5.mp4', // a receiver without a fix says 0, 0
    { latitude: null, longitude: null, timeZone: null, takenAt: '2020-10-23T20:27:29.000Z' },
  ],
]

for (const [file, expected] of REAL) {
  test(`facts of ${file}`, async (t) => {
    const path = testMedia(t, file)
    if (path === null) return
    const facts = await bench.probe(path)
    const seen = { ...facts, takenAt: facts.takenAt?.toISOString() ?? null } as Record<string, unknown>
    for (const [name, value] of Object.entries(expected)) assert.deepEqual(seen[name], value, name)
  })
}

async function makeJpeg(name: string, exif?: Record<string, Record<string, string>>): Promise<string> {
  const path = join(bench.folder, name)
  const picture = sharp({ create: { width: 60, height: 40, channels: 3, background: '#345' } }).jpeg()
  await (exif === undefined ? picture : picture.withExif(exif)).toFile(path)
  return path
}

function xmp(attributes: string): string {
  return `<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>
    <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''
    xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'
    xmlns:tiff='http://ns.adobe.com/tiff/1.0/' ${attributes}/></rdf:RDF></x:xmpmeta><?xpacket end='w'?>`
}

test("a sidecar's values come before the file's", async () => {
  const photo = await makeJpeg('sidecar.jpg', {
    IFD0: { Make: 'Inside', ImageDescription: 'inside' },
    IFD2: { DateTimeOriginal: '2001:01:01 01:01:01' },
  })
  const sidecar = join(bench.folder, 'sidecar.jpg.xmp')
  await writeFile(
    sidecar,
    xmp(
      "exif:DateTimeOriginal='2020-07-01T10:20:30.5+05:30' xmp:Rating='4' tiff:ImageDescription='beside' " +
        "exif:GPSLatitude='28,36.8334N' exif:GPSLongitude='77,12.5400E' tiff:Orientation='8'",
    ),
  )
  const facts = await bench.probe(photo, 'sidecar.jpg', sidecar)
  assert.equal(facts.takenAt?.toISOString(), '2020-07-01T04:50:30.500Z')
  assert.equal(facts.localDateTime, '2020-07-01T10:20:30.500')
  assert.equal(facts.timeZone, 'UTC+05:30')
  assert.equal(facts.rating, 4)
  assert.equal(facts.description, 'beside')
  assert.equal(facts.make, 'Inside')
  assert.deepEqual([facts.latitude?.toFixed(4), facts.longitude?.toFixed(4)], ['28.6139', '77.2090'])
  assert.deepEqual([facts.orientation, facts.width, facts.height], [8, 40, 60])
  const alone = await bench.probe(photo)
  assert.equal(alone.localDateTime, '2001-01-01T01:01:01.000')
})

test("a sidecar's place gives the zone of a date that has none", async () => {
  const photo = await makeJpeg('zone.jpg', { IFD2: { DateTimeOriginal: '2024:07:01 12:00:00' } })
  const sidecar = join(bench.folder, 'zone.xmp')
  await writeFile(sidecar, xmp("exif:GPSLatitude='40,42.768N' exif:GPSLongitude='74,0.36W'"))
  const facts = await bench.probe(photo, 'zone.jpg', sidecar)
  assert.equal(facts.timeZone, 'America/New_York')
  assert.equal(facts.localDateTime, '2024-07-01T12:00:00.000')
  assert.equal(facts.takenAt?.toISOString(), '2024-07-01T16:00:00.000Z')
})

test('a sidecar that is garbage, empty or absent keeps no photo from being read', async () => {
  const photo = await makeJpeg('alone.jpg', { IFD0: { Make: 'Inside' } })
  for (const content of ['<x:xmpmeta><broken', '']) {
    const sidecar = join(bench.folder, 'garbage.xmp')
    await writeFile(sidecar, content)
    assert.equal((await bench.probe(photo, 'alone.jpg', sidecar)).make, 'Inside')
  }
  assert.equal((await bench.probe(photo, 'alone.jpg', join(bench.folder, 'absent.xmp'))).make, 'Inside')
})

test('dates that cannot be are null, and never thrown', async () => {
  for (const date of ['0000:00:00 00:00:00', '2023:13:45 99:99:99', 'yesterday', '    :  :     :  :  ']) {
    const photo = await makeJpeg('date.jpg', { IFD2: { DateTimeOriginal: date } })
    const facts = await bench.probe(photo)
    assert.equal(facts.takenAt, null, date)
    assert.equal(facts.localDateTime, null, date)
  }
})

test('garbage tags become null', () => {
  const garbage: Record<string, unknown> = {
    ImageWidth: 0,
    ImageHeight: -5,
    Orientation: 9,
    ISO: 4294967295,
    FNumber: Number.NaN,
    FocalLength: 'undef',
    ExposureTime: '1/0',
    GPSLatitude: 91,
    GPSLongitude: 10,
    Rating: 0,
    Make: '\0\0',
    Model: 'X\0Y\ud800',
    ImageDescription: '  ',
    Duration: -1,
    DateTimeOriginal: new ExifDateTime(2020, 13, 40, 25, 0, 0),
  }
  const facts = factsFromTags(garbage as Tags, null, true)
  for (const name of [
    'width',
    'height',
    'orientation',
    'iso',
    'fNumber',
    'focalLength',
    'exposureTime',
    'latitude',
    'longitude',
    'rating',
    'make',
    'description',
    'durationMs',
    'takenAt',
    'localDateTime',
  ] as const) {
    assert.equal(facts[name], null, name)
  }
  assert.equal(facts.model, 'XY\ufffd')
})

test('places: poles and the antimeridian are places, 0, 0 and beyond are not', () => {
  const place = (GPSLatitude: unknown, GPSLongitude: unknown) => {
    const { latitude, longitude } = factsFromTags({ GPSLatitude, GPSLongitude } as Tags, null, false)
    return [latitude, longitude]
  }
  assert.deepEqual(place(-90, 180), [-90, 180])
  assert.deepEqual(place(0, 12.5), [0, 12.5])
  assert.deepEqual(place(0, 0), [null, null])
  assert.deepEqual(place(12, 180.1), [null, null])
  assert.deepEqual(place(12, undefined), [null, null])
})

test('ratings: rejected and 1 to 5; 0 is no rating', () => {
  const rated = [-1, 0, 1, 4.6, 5, 6, '3', 'good'].map(
    (Rating) => factsFromTags({ Rating } as Tags, null, false).rating,
  )
  assert.deepEqual(rated, [-1, null, 1, 5, 5, null, 3, null])
})

test('exposures read as photographers write them', () => {
  const times = [0.008, 0.25, 0.3, 2.5, 30, 0, -1, '1/250'].map(
    (ExposureTime) => factsFromTags({ ExposureTime } as unknown as Tags, null, false).exposureTime,
  )
  assert.deepEqual(times, ['1/125', '1/4', '0.3', '2.5', '30', null, null, '1/250'])
})

test('an hour that exists twice keeps its offset', () => {
  const before = factsFromTags(
    { DateTimeOriginal: ExifDateTime.fromEXIF('2024:10:27 02:30:00+02:00') },
    null,
    false,
  )
  const later = factsFromTags(
    { DateTimeOriginal: ExifDateTime.fromEXIF('2024:10:27 02:30:00+01:00') },
    null,
    false,
  )
  assert.equal(before.takenAt?.toISOString(), '2024-10-27T00:30:00.000Z')
  assert.equal(later.takenAt?.toISOString(), '2024-10-27T01:30:00.000Z')
  assert.equal(before.localDateTime, later.localDateTime)
})

test('text is cut to what can be stored', () => {
  assert.equal(cleanText(' a\0b\u0007\nc '), 'ab\nc')
  assert.equal(cleanText('x'.repeat(20_000))?.length, 10_000)
  assert.equal(cleanText({}), null)
})
