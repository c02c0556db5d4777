import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { MediaFacts } from '../../src/media/facts.ts'
import { MediaError } from '../../src/media/media-error.ts'
import { type Printed, printTags } from '../support/files/exiftool-values.ts'
import { listTestMedia, testMedia } from '../support/files/media.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

/*
 * Every field of every real file, compared with what the command `exiftool` prints: by groups, so that it is
 * told where each value comes from, and interpreted by the few lines below instead of the product's.
 */

const bench = await mediaTestBench()

/** By groups, as numbers; by names alone, as numbers; by names alone, in words. */
type Views = { grouped: Printed; numbers: Printed; words: Printed }

test('every field of every real file is what exiftool prints', async (t) => {
  const folder = testMedia(t, '.')
  if (folder === null) return
  const [grouped, numbers, words] = await Promise.all([
    printTags(folder, ['-n', '-G1', '-api', 'geolocation', '-api', 'keepUTCTime']),
    printTags(folder, ['-n']),
    printTags(folder, ['-use', 'MWG', '-struct']),
  ])
  const differences: string[] = []
  let compared = 0
  for (const file of await listTestMedia(folder)) {
    const facts = await factsOf(join(folder, file))
    if (facts === null) continue
    const views = { grouped: grouped.get(file)!, numbers: numbers.get(file)!, words: words.get(file)! }
    for (const [name, expected] of Object.entries(expectedOf(views, facts))) {
      compared += 1
      const actual = name in facts ? facts[name as keyof MediaFacts] : facts.details[name as never]
      if (!isSame(actual, expected)) {
        differences.push(`${file}: ${name} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`)
      }
    }
  }
  assert.deepEqual(differences, [])
  assert.ok(compared > 3_000, `only ${compared} values were compared`)
})

async function factsOf(path: string): Promise<MediaFacts | null> {
  try {
    return await bench.probe(path)
  } catch (error) {
    // Broken on purpose: `every-file.test.ts` says which and why.
    if (error instanceof MediaError && !error.transient) return null
    throw error
  }
}

function isSame(actual: unknown, expected: unknown): boolean {
  if (typeof actual === 'number' && typeof expected === 'number') {
    return Math.abs(actual - expected) <= 1e-6 * Math.max(1, Math.abs(expected))
  }
  return JSON.stringify(actual) === JSON.stringify(expected)
}

function expectedOf(views: Views, facts: MediaFacts): Record<string, unknown> {
  const { numbers, words } = views
  const common = {
    ...camera(words, facts),
    fNumber: rounded(above0(numbers.FNumber), (value) => (value < 1 ? 2 : 1)),
    lensModel: lens(words),
    focalLength: above0(numbers.FocalLength),
    iso: rounded(above0(String(words.ISO ?? '').split(/[ ,]/)[0]), () => 0),
    exposureTime: exposure(numbers.ExposureTime),
    ...position(numbers),
    description: text(words.ImageDescription) ?? text(words.Description) ?? text(words['Caption-Abstract']),
    rating: { '-1': -1, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5 }[String(numbers.Rating)] ?? null,
    projectionType: text(numbers.ProjectionType)?.toUpperCase() ?? null,
    livePhotoId: text(numbers.ContentIdentifier ?? numbers.MediaGroupUUID),
    title: text(words.Title ?? words.ObjectName),
    software: text(words.Software ?? words.CreatorTool),
    tags: keywords(words),
    colorSpace: text(words.ColorSpace),
    profile: text(words.ProfileDescription),
    altitude: position(numbers).latitude === null ? null : (numbers.GPSAltitude ?? null),
    flash: text(words.Flash),
    meteringMode: text(words.MeteringMode),
    ...details(views),
    ...modified(views, facts),
    mimeType: kindOf(words, facts),
  }
  return { ...common, ...size(views, facts), ...taken(views, facts), ...film(views, facts) }
}

/** What is kept for later. */
function details({ numbers, words }: Views): Printed {
  const between = (value: unknown, least: number, most: number) =>
    typeof value === 'number' && value >= least && value <= most ? value : null
  const bits = above0(String(numbers.BitsPerSample ?? numbers.BitDepth ?? '').split(' ')[0])
  return {
    artist: text(words.Artist ?? words.Creator ?? words['By-line']),
    copyright: text(words.Copyright ?? words.Rights ?? words.CopyrightNotice),
    direction: between(numbers.GPSImgDirection, 0, 360),
    cameraSerial: text(
      words.SerialNumber ?? words.BodySerialNumber ?? words.CameraSerialNumber ?? words.InternalSerialNumber,
    ),
    // One camera writes bytes that are no text, which exiftool prints as a question mark.
    lensSerial: text(words.LensSerialNumber)?.replaceAll('?', '\uFFFD') ?? null,
    burstId: text(words.BurstID ?? words.BurstUUID ?? words.CameraBurstID ?? words.MediaUniqueID),
    bitsPerSample: bits !== null && bits >= 24 && bits % 3 === 0 ? bits / 3 : bits,
    focalLength35: above0(numbers.FocalLengthIn35mmFormat),
    exposureBias: between(numbers.ExposureCompensation, -100, 100),
    exposureProgram: text(words.ExposureProgram),
    whiteBalance: text(words.WhiteBalance),
    city: text(words.City),
    state: text(words.State ?? words['Province-State']),
    country: text(words.Country ?? words['Country-PrimaryLocationName']),
    people: [words.PersonInImage ?? []].flat(),
  }
}

/** Of the file's content: what ExifTool tells from it, in the names that this server gives. */
function kindOf({ MIMEType }: Printed, { mimeType }: MediaFacts): unknown {
  // Browsers and Immich call these otherwise.
  const names: Record<string, string> = { 'video/x-msvideo': 'video/avi', 'video/m2ts': 'video/mp2t' }
  return names[String(MIMEType)] ?? MIMEType ?? mimeType
}

/**
 * Of pictures: the wall clock that EXIF has, in a zone of whole quarters of an hour; the very same without
 * one.
 */
function modified({ grouped }: Views, { modifiedAt, timeZone }: MediaFacts): Printed {
  const date = parseDate(grouped['IFD0:ModifyDate'])
  if (date === null) return {}
  const wallClock = new Date(`${date.wallClock}Z`)
  const apartMs = wallClock.getTime() - Math.floor((modifiedAt?.getTime() ?? Number.NaN) / 1000) * 1000
  const hasZone = timeZone !== null || grouped['ExifTool:GeolocationTimeZone'] !== undefined
  const isInAZone = hasZone && Math.abs(apartMs) <= 15 * 3_600_000 && apartMs % 900_000 === 0
  return isInAZone || apartMs === 0 ? {} : { modifiedAt: wallClock }
}

/** Of films: sizes, turn, length, rate and time. Null where exiftool does not read that of the container. */
function film({ numbers }: Views, facts: MediaFacts): Printed {
  if (facts.type !== 'VIDEO') return {}
  const tag = (name: string) => above0(numbers[name])
  const [width, height] = [tag('ImageWidth'), tag('ImageHeight')]
  const isTurned = numbers.Rotation === 90 || numbers.Rotation === 270
  const seconds = above0(numbers.Duration)
  const rate = tag('VideoFrameRate')
  const utc = parseDate(numbers.CreationDate ?? numbers.DateTimeOriginal ?? numbers.CreateDate)
  return {
    ...(width !== null && {
      exifImageWidth: width,
      exifImageHeight: height,
      // Pixels of this one are not square.
      ...(!numbers.PixelAspectRatio && {
        width: isTurned ? height : width,
        height: isTurned ? width : height,
      }),
    }),
    // The container's clock, or that of its longest track.
    ...differs('durationMs', facts.durationMs, seconds === null ? null : seconds * 1000, 120),
    ...differs('fps', facts.fps, rate, 0.3),
    ...(utc !== null && {
      takenAt: new Date(Date.parse(`${utc.wallClock}Z`) - (utc.offsetMinutes ?? 0) * 60_000),
    }),
  }
}

/** Nothing where both are near each other, or exiftool has none; else what it has. */
function differs(name: string, ours: number | null, theirs: number | null, by: number): Printed {
  if (theirs === null || (ours !== null && Math.abs(ours - theirs) <= by)) return {}
  return { [name]: theirs }
}

function camera(words: Printed, { type }: MediaFacts): Printed {
  const ofFilm = type === 'VIDEO' ? words : {}
  return {
    make: text(words.Make ?? words.AndroidMake ?? ofFilm.DeviceManufacturer),
    model: text(words.Model ?? words.AndroidModel ?? ofFilm.DeviceModelName),
  }
}

function text(value: unknown): string | null {
  const first = Array.isArray(value) ? value[0] : value
  const cleaned = String(first ?? '')
    .replace(/[^\P{Cc}\s]/gu, '')
    .trim()
  return cleaned === '' ? null : cleaned
}

function lens({ LensModel, LensID, Lens }: Printed): string | null {
  const isName = (name: string | null) =>
    name !== null && !/^unknown|^[\d.]+ ?(-[\d. ?]+)? ?mm( f\/[\d.?-]+)?$|^n\/a$|\?{3}/i.test(name)
  return [LensModel, LensID, Lens].map(text).find(isName) ?? null
}

function above0(value: unknown): number | null {
  const parsed = Number(value)
  return value !== '' && Number.isFinite(parsed) && parsed > 0 ? parsed : null
}

function rounded(value: number | null, digits: (value: number) => number): number | null {
  return value === null ? null : Number(value.toFixed(digits(value)))
}

function exposure(value: unknown): string | null {
  const seconds = above0(value)
  if (seconds === null || seconds < 1e-6) return null
  return seconds < 0.25001 ? `1/${Math.round(1 / seconds)}` : String(Math.round(seconds * 10) / 10)
}

function position({ GPSLatitude, GPSLongitude }: Printed): Printed {
  const isPlace =
    typeof GPSLatitude === 'number' &&
    typeof GPSLongitude === 'number' &&
    (GPSLatitude !== 0 || GPSLongitude !== 0)
  return isPlace ? { latitude: GPSLatitude, longitude: GPSLongitude } : { latitude: null, longitude: null }
}

function keywords({ TagsList, HierarchicalSubject, Keywords, Subject }: Printed): string[] {
  if (TagsList !== undefined || HierarchicalSubject !== undefined)
    throw new Error('none of the files has these')
  return [...new Set([Keywords, Subject].flat().filter((word) => word !== undefined && word !== ''))].map(
    String,
  )
}

function size({ grouped }: Views, facts: MediaFacts): Printed {
  if (facts.type === 'VIDEO') return {}
  const [width = null, height = null] = String(grouped['Composite:ImageSize'] ?? '')
    .split(' ')
    .map(above0)
  const turns = { 0: 1, 1: 8, 2: 3, 3: 6 }[Number(grouped['QuickTime:Rotation'])] ?? null
  const isHeif = /hei[cf]|avif/.test(facts.mimeType)
  const tag = grouped['IFD0:Orientation'] ?? grouped['XMP-tiff:Orientation']
  const orientation = isHeif
    ? turns
    : tag !== undefined && Number(tag) >= 1 && Number(tag) <= 8
      ? Number(tag)
      : null
  const [shownWidth, shownHeight] =
    orientation !== null && orientation >= 5 ? [height, width] : [width, height]
  return {
    exifImageWidth: width,
    exifImageHeight: height,
    orientation,
    width: shownWidth,
    height: shownHeight,
  }
}

/** The wall clock and the instant of pictures. */
function taken({ grouped, numbers }: Views, facts: MediaFacts): Printed {
  if (facts.type === 'VIDEO') return {}
  const exif = (name: string, subSec: string, offset: string) => {
    const date = grouped[`ExifIFD:${name}`]
    if (date === undefined) return undefined
    const fraction = text(grouped[`ExifIFD:${subSec}`])
    return `${date}${fraction === null ? '' : `.${fraction}`}${text(grouped[`ExifIFD:${offset}`]) ?? ''}`
  }
  const iptc = grouped['IPTC:DateCreated']
  const candidates = [
    exif('DateTimeOriginal', 'SubSecTimeOriginal', 'OffsetTimeOriginal'),
    // A copy in XMP has the zone of the computer that made it.
    grouped['ExifIFD:DateTimeOriginal'] === undefined ? grouped['XMP-exif:DateTimeOriginal'] : undefined,
    grouped['IPTC:TimeCreated'] === undefined ? iptc : `${iptc} ${grouped['IPTC:TimeCreated']}`,
    grouped['XMP-photoshop:DateCreated'],
    exif('CreateDate', 'SubSecTimeDigitized', 'OffsetTimeDigitized'),
    grouped['ExifIFD:CreateDate'] === undefined ? grouped['XMP-xmp:CreateDate'] : undefined,
    grouped['PNG:CreationTime'],
  ].map(parseDate)
  const found = candidates.find((date) => date?.hasTime) ?? candidates.find((date) => date !== null)
  if (!found) return facts.takenAt === null ? { localDateTime: null } : {}
  // Another date of the same second may know the offset, and so do some makers' notes, in minutes.
  const twin = candidates.find(
    (date) => date?.offsetMinutes != null && date.wallClock.slice(0, 19) === found.wallClock.slice(0, 19),
  )
  const makers = grouped['Canon:TimeZone'] ?? grouped['Nikon:TimeZone']
  const known = found.offsetMinutes ?? (makers as number | undefined) ?? twin?.offsetMinutes ?? null
  const isPlaceKnown = position(numbers).latitude !== null
  const zone = isPlaceKnown ? (grouped['ExifTool:GeolocationTimeZone'] as string | undefined) : undefined
  const offsetMinutes = known ?? (zone === undefined ? 0 : offsetOf(zone, found.wallClock))
  return {
    localDateTime: found.wallClock,
    takenAt: new Date(Date.parse(`${found.wallClock}Z`) - offsetMinutes * 60_000),
    ...(known === null && zone !== undefined && { timeZone: zone }),
  }
}

/** Minutes east of Greenwich. */
function offsetOf(timeZone: string, wallClock: string): number {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
  const name = format
    .formatToParts(Date.parse(`${wallClock}Z`))
    .find(({ type }) => type === 'timeZoneName')?.value
  return parseDate(`2000-01-01 ${name?.replace('GMT', '') || '+00:00'}`)!.offsetMinutes!
}

type ParsedDate = { wallClock: string; hasTime: boolean; offsetMinutes: number | null }

function parseDate(value: unknown): ParsedDate | null {
  const match =
    /^(\d{4})[:-](\d\d)[:-](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)? *(Z|[+-]\d\d:\d\d)?$/.exec(
      String(value ?? '').trim(),
    )
  if (match === null) return null
  const [, year, month, day, hours, minutes, seconds = '00', fraction = '', offset] = match
  const milliseconds = fraction.padEnd(3, '0').slice(0, 3)
  const wallClock = `${year}-${month}-${day}T${hours ?? '00'}:${minutes ?? '00'}:${seconds}.${milliseconds}`
  if (Number.isNaN(Date.parse(`${wallClock}Z`)) || Number(year) < 1800) return null
  const signed = offset === undefined ? null : /([+-])(\d\d):(\d\d)/.exec(offset)
  const offsetMinutes =
    offset === undefined
      ? null
      : signed === null
        ? 0
        : Number(`${signed[1]}1`) * (Number(signed[2]) * 60 + Number(signed[3]))
  return { wallClock, hasTime: hours !== undefined, offsetMinutes }
}
