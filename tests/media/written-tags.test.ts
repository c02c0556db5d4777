import assert from 'node:assert/strict'
import { appendFile, copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Tags } from 'exiftool-vendored'
import sharp from 'sharp'
import type { MediaFacts } from '../../src/media/facts.ts'
import { factsFromTags } from '../../src/media/metadata/exif-facts.ts'
import { writeTags } from '../support/files/exiftool-values.ts'
import { testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'
import { samsungTrailer } from '../support/files/samsung-trailer.ts'

/* Files into which the command `exiftool` wrote what cameras, phones and programs write. */

const bench = await mediaTestBench()
let made = 0

async function jpegWith(...assignments: string[]): Promise<string> {
  const path = join(bench.folder, `written-${made++}.jpg`)
  await sharp({ create: { width: 60, height: 40, channels: 3, background: '#345' } })
    .jpeg()
    .toFile(path)
  if (assignments.length > 0) await writeTags(path, ...assignments)
  return path
}

/** Facts of a JPEG with a sidecar that holds these properties, each with its prefix. */
async function besideOf(properties: string, ...assignments: string[]): Promise<MediaFacts> {
  const photo = await jpegWith(...assignments)
  const sidecar = `${photo}.xmp`
  await writeFile(
    sidecar,
    `<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF
    xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''
    xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:exif='http://ns.adobe.com/exif/1.0/'
    xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'
    xmlns:digiKam='http://www.digikam.org/ns/1.0/'>${properties}</rdf:Description></rdf:RDF></x:xmpmeta>
    <?xpacket end='w'?>`,
  )
  return bench.probe(photo, photo, sidecar)
}

function when({ takenAt, localDateTime, timeZone }: MediaFacts) {
  return [takenAt?.toISOString() ?? null, localDateTime, timeZone]
}

test('an unsigned place in a sidecar is on the side that its reference names', async () => {
  const unsigned = await besideOf(
    '<exif:GPSLatitude>33.9</exif:GPSLatitude><exif:GPSLatitudeRef>S</exif:GPSLatitudeRef>' +
      '<exif:GPSLongitude>122.4</exif:GPSLongitude><exif:GPSLongitudeRef>W</exif:GPSLongitudeRef>',
  )
  assert.deepEqual([unsigned.latitude, unsigned.longitude], [-33.9, -122.4])
  const north = await besideOf(
    '<exif:GPSLatitude>37.7</exif:GPSLatitude><exif:GPSLatitudeRef>N</exif:GPSLatitudeRef>' +
      '<exif:GPSLongitude>122.4</exif:GPSLongitude><exif:GPSLongitudeRef>W</exif:GPSLongitudeRef>',
    '-EXIF:DateTimeOriginal=2024:07:01 12:00:00',
  )
  assert.deepEqual([north.latitude, north.longitude], [37.7, -122.4])
  assert.equal(north.timeZone, 'America/Los_Angeles')
  const signed = await besideOf(
    '<exif:GPSLatitude>-33.9</exif:GPSLatitude><exif:GPSLongitude>-122.4</exif:GPSLongitude>',
  )
  assert.deepEqual([signed.latitude, signed.longitude], [-33.9, -122.4])
  const adobe = await besideOf(
    '<exif:GPSLatitude>33,54.0S</exif:GPSLatitude><exif:GPSLongitude>122,24.0W</exif:GPSLongitude>',
  )
  assert.deepEqual([adobe.latitude, adobe.longitude], [-33.9, -122.4])
  // The same in XMP inside the file, and EXIF's own way.
  const xmp = await bench.probe(await jpegWith('-XMP:GPSLatitude=-33.9', '-XMP:GPSLongitude=-122.4'))
  assert.deepEqual([xmp.latitude, xmp.longitude], [-33.9, -122.4])
  const exif = await bench.probe(
    await jpegWith(
      '-GPSLatitude*=-33.9',
      '-GPSLongitude*=-122.4',
      '-GPSAltitude*=-12.5',
      '-GPSImgDirection=271.5',
    ),
  )
  assert.deepEqual([exif.latitude, exif.longitude], [-33.9, -122.4])
  assert.deepEqual([exif.details.altitude, exif.details.direction], [-12.5, 271.5])
})

test('a date with a time comes before a bare date, wherever it stands', async () => {
  const iptc = await jpegWith('-IPTC:DateCreated=2006:10:29', '-IPTC:TimeCreated=06:27:51-05:00')
  assert.deepEqual(when(await bench.probe(iptc)), [
    '2006-10-29T11:27:51.000Z',
    '2006-10-29T06:27:51.000',
    'UTC-05:00',
  ])
  const scanned = await jpegWith(
    '-XMP-photoshop:DateCreated=1999:05:06',
    '-EXIF:CreateDate=2001:02:03 04:05:06',
  )
  assert.equal((await bench.probe(scanned)).localDateTime, '2001-02-03T04:05:06.000')
  const bare = await jpegWith('-XMP-photoshop:DateCreated=1999:05:06')
  assert.equal((await bench.probe(bare)).localDateTime, '1999-05-06T00:00:00.000')
})

test('a bare date in a sidecar keeps the time of the same day, and is another day where it says so', async () => {
  const inside = '-EXIF:DateTimeOriginal=2001:02:03 04:05:06'
  const same = await besideOf('<photoshop:DateCreated>2001-02-03</photoshop:DateCreated>', inside)
  assert.equal(same.localDateTime, '2001-02-03T04:05:06.000')
  const other = await besideOf('<photoshop:DateCreated>1987-06-05</photoshop:DateCreated>', inside)
  assert.equal(other.localDateTime, '1987-06-05T00:00:00.000')
})

test('the zone is told by another time of the file that is in UTC', async () => {
  const taken = '-EXIF:DateTimeOriginal=2023:05:06 14:00:00'
  const satellite = await jpegWith(taken, '-GPSDateStamp=2023:05:06', '-GPSTimeStamp=08:30:05')
  assert.deepEqual(when(await bench.probe(satellite)), [
    '2023-05-06T08:30:00.000Z',
    '2023-05-06T14:00:00.000',
    'UTC+05:30',
  ])
  const samsung = await jpegWith(taken, '-Make=samsung')
  const utc = Buffer.from(String(Date.UTC(2023, 4, 6, 12, 0, 1)))
  await appendFile(samsung, samsungTrailer([{ type: 0x0a01, name: 'Image_UTC_Data', value: utc }]))
  assert.deepEqual(when(await bench.probe(samsung)), [
    '2023-05-06T12:00:00.000Z',
    '2023-05-06T14:00:00.000',
    'UTC+02:00',
  ])
  // A satellite's time of another day says nothing of the zone.
  const stale = await jpegWith(taken, '-GPSDateStamp=2023:05:04', '-GPSTimeStamp=08:30:05')
  assert.equal((await bench.probe(stale)).timeZone, null)
  // A time that only repeats the first, as Canon's does, says nothing either.
  const repeated = { tz: 'UTC', tzSource: 'offset between DateTimeOriginal and TimeStamp' }
  assert.equal(factsFromTags(repeated as Tags, null, false).timeZone, null)
})

test('tags: digiKam, then Lightroom, then keywords, with their levels', async () => {
  const tagsOf = async (...assignments: string[]) =>
    (await bench.probe(await jpegWith(...assignments))).details.tags
  const keywords = ['-IPTC:Keywords=sea', '-XMP-dc:Subject=sea', '-XMP-dc:Subject=Köln']
  const levels = ['-XMP-lr:HierarchicalSubject=Places|Köln', '-XMP-lr:HierarchicalSubject=Who|me/you']
  const lists = ['-XMP-digiKam:TagsList=People/Anna', '-XMP-digiKam:TagsList=Places/Köln/Dom']
  assert.deepEqual((await tagsOf(...keywords)).toSorted(), ['Köln', 'sea'])
  assert.deepEqual(await tagsOf(...keywords, ...levels), ['Places/Köln', 'Who/me|you'])
  assert.deepEqual(await tagsOf(...keywords, ...levels, ...lists), ['People/Anna', 'Places/Köln/Dom'])
  assert.deepEqual(await tagsOf('-XMP-dc:Subject=2024'), ['2024'])
  assert.deepEqual(await tagsOf('-IPTC:Keywords=a/b', '-IPTC:Keywords=c'), ['a|b', 'c'])
  assert.deepEqual(await tagsOf(), [])
})

test("a sidecar's tags take the place of the file's", async () => {
  const inside = '-XMP-digiKam:TagsList=Inside'
  const beside = await besideOf(
    '<digiKam:TagsList><rdf:Seq><rdf:li>Beside/One</rdf:li></rdf:Seq></digiKam:TagsList>',
    inside,
  )
  assert.deepEqual(beside.details.tags, ['Beside/One'])
  assert.deepEqual((await besideOf('', inside)).details.tags, ['Inside'])
})

test('regions of faces come as fractions of the stored picture', async () => {
  const region =
    '-RegionInfo={AppliedToDimensions={W=60,H=40,Unit=pixel},RegionList=[' +
    '{Area={X=0.5,Y=0.25,W=0.2,H=0.1,Unit=normalized},Name=Anna,Type=Face},' +
    '{Area={X=0.1,Y=0.9,W=0.1,H=0.1,Unit=normalized},Type=Pet}]}'
  const { faces } = (await bench.probe(await jpegWith(region, '-Orientation#=6'))).details
  assert.equal(faces.length, 2)
  assert.deepEqual(round(faces[0]!), {
    name: 'Anna',
    type: 'Face',
    left: 0.4,
    top: 0.2,
    width: 0.2,
    height: 0.1,
  })
  assert.deepEqual(round(faces[1]!), {
    name: null,
    type: 'Pet',
    left: 0.05,
    top: 0.85,
    width: 0.1,
    height: 0.1,
  })
  const microsoft = '-RegionInfoMP={Regions=[{PersonDisplayName=Ben,Rectangle="0.1, 0.2, 0.3, 0.4"}]}'
  const windows = (await bench.probe(await jpegWith(microsoft.replaceAll('"', '').replaceAll(', ', '|, '))))
    .details.faces
  assert.deepEqual(windows, [{ name: 'Ben', type: 'Face', left: 0.1, top: 0.2, width: 0.3, height: 0.4 }])
  const nonsense = '-RegionInfo={RegionList=[{Area={X=9,Y=9,W=0.1,H=0.1,Unit=normalized},Name=Nobody}]}'
  assert.deepEqual((await bench.probe(await jpegWith(nonsense))).details.faces, [])
})

function round<T extends object>(region: T): T {
  const entries = Object.entries(region).map(([key, value]) => [
    key,
    typeof value === 'number' ? Number(value.toFixed(9)) : value,
  ])
  return Object.fromEntries(entries) as T
}

test('what else the file says is kept', async () => {
  const { details } = await bench.probe(
    await jpegWith(
      '-XMP-iptcExt:PersonInImage=Anna',
      '-XMP-iptcExt:PersonInImage=Ben',
      '-XMP-dc:Title=A title',
      '-Artist=Somebody',
      '-Copyright=(c) Somebody',
      '-ExifIFD:SerialNumber=4711',
      '-LensSerialNumber=0815',
      '-ExifIFD:FocalLengthIn35mmFormat=28',
      '-ExposureCompensation=-0.67',
      '-IPTC:City=Köln',
      '-IPTC:Country-PrimaryLocationName=Germany',
      '-XMP-GCamera:BurstID=7b3c',
    ),
  )
  const {
    people,
    title,
    artist,
    copyright,
    cameraSerial,
    lensSerial,
    focalLength35,
    city,
    country,
    burstId,
  } = details
  assert.deepEqual(people, ['Anna', 'Ben'])
  assert.deepEqual([title, artist, copyright], ['A title', 'Somebody', '(c) Somebody'])
  assert.deepEqual([cameraSerial, lensSerial, focalLength35], ['4711', '0815', 28])
  assert.deepEqual([city, country, burstId], ['Köln', 'Germany', '7b3c'])
  assert.equal(details.exposureBias?.toFixed(2), '-0.67')
})

test('a lens is a name, not a range, a number or what is not known', () => {
  const lens = (tags: object) => factsFromTags(tags as Tags, null, false).lensModel
  assert.equal(lens({ LensID: 'Unknown 7-21mm', Lens: '7.1 - 21.3 mm' }), null)
  assert.equal(lens({ LensID: 'Unknown ( )' }), null)
  assert.equal(lens({ LensModel: '----' }), null)
  assert.equal(lens({ LensModel: '24-70mm', LensID: 'Sigma 24-70mm F2.8 EX DG' }), 'Sigma 24-70mm F2.8 EX DG')
  assert.equal(lens({ LensModel: '18.0-70.0 mm f/3.5-4.5', LensID: 'Unknown (1 2 3) 18-70mm' }), null)
  assert.equal(lens({ LensModel: '0?\u0006???A???\u0006?' }), null)
  assert.equal(lens({ LensModel: '50.0 mm', LensID: 183 }), null)
  assert.equal(lens({ LensModel: 'RF24-105mm F4 L IS USM' }), 'RF24-105mm F4 L IS USM')
})

test('a RAW file has the size of its sensor, not of the picture embedded in it', () => {
  const { width, height, exifImageWidth, exifImageHeight } = factsFromTags(
    { ImageWidth: 1536, ImageHeight: 1024, ImageSize: '3456 2304', Orientation: 8 } as unknown as Tags,
    null,
    false,
  )
  assert.deepEqual([exifImageWidth, exifImageHeight, width, height], [3456, 2304, 2304, 3456])
})

test('a HEIC that its container does not turn has no orientation', async (t) => {
  const original = testMedia(t, 'exif-samples/heic/mobile/HMD_Nokia_8.3_5G_hdr.heif')
  if (original === null) return
  const path = join(bench.folder, 'unturned.heif')
  await copyFile(original, path)
  await writeTags(path, '-IFD0:Orientation#=6')
  const plain = await bench.probe(original)
  const { orientation, width, height, exifImageWidth, exifImageHeight } = await bench.probe(path)
  assert.equal(orientation, plain.orientation)
  assert.deepEqual([width, height], [plain.width, plain.height])
  assert.deepEqual([exifImageWidth, exifImageHeight], [plain.exifImageWidth, plain.exifImageHeight])
})

test('a sidecar that says that there is no rating, or no description, is heeded', async () => {
  const inside = ['-Rating=2', '-ImageDescription=inside']
  assert.equal((await besideOf('<xmp:Rating>0</xmp:Rating>', ...inside)).rating, null)
  assert.equal((await besideOf('<xmp:Rating>5</xmp:Rating>', ...inside)).rating, 5)
  const silent = await besideOf('<dc:format>image/jpeg</dc:format>', ...inside)
  assert.deepEqual([silent.rating, silent.description], [2, 'inside'])
  const blank = "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'> </rdf:li></rdf:Alt></dc:description>"
  assert.equal((await besideOf(blank, ...inside)).description, null)
})

test('an exposure that no shutter has is none', () => {
  const exposure = (ExposureTime: unknown) =>
    factsFromTags({ ExposureTime } as Tags, null, false).exposureTime
  assert.deepEqual([2.525e-165, '1/3.96e+164', 1e12, '1/0', 'inf', 1 / 180_000, 3_600].map(exposure), [
    null,
    null,
    null,
    null,
    null,
    '1/180000',
    '3600',
  ])
})

test('speeds are told in words where a number is the code of the maker', () => {
  const iso = (ISO: unknown) => factsFromTags({ ISO } as Tags, null, false).iso
  assert.deepEqual([100, '200', 'Auto (400)', [800, 100], '0 200', 'Hi'].map(iso), [
    100,
    200,
    400,
    800,
    null,
    null,
  ])
})
