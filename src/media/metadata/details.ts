/** What a file says beside the facts that every client shows. From ExifTool's tags, in words. */
import type { Tags } from 'exiftool-vendored'
import type { FaceRegion, FileDetails } from '../facts.ts'
import { cleanText, count, number, stated } from './values.ts'

type AnyTags = Record<string, unknown>

/** More is no list that anybody keeps by hand. */
const MOST_ITEMS = 1_000
const MAX_TAG = 1_000

/** A sidecar's value comes before the file's, also where it says that there is none. */
export function detailsOf(tags: Tags, sidecar: Tags | null): FileDetails {
  const sources = [sidecar, tags]
  const text = (...names: string[]) => stated(sources, names, cleanText)
  const value = (name: string) =>
    number((sidecar as AnyTags | null)?.[name]) ?? number((tags as AnyTags)[name])
  return {
    tags: tagsOf(sidecar) ?? tagsOf(tags) ?? [],
    faces: facesOf(sidecar) ?? facesOf(tags) ?? [],
    people: texts((sidecar as AnyTags | null)?.PersonInImage ?? (tags as AnyTags).PersonInImage),
    title: text('Title', 'ObjectName'),
    artist: text('Artist', 'Creator', 'By-line'),
    copyright: text('Copyright', 'Rights', 'CopyrightNotice'),
    software: text('Software', 'CreatorTool'),
    altitude: within(value('GPSAltitude'), -12_000, 1e6),
    direction: within(value('GPSImgDirection'), 0, 360),
    cameraSerial: text('SerialNumber', 'BodySerialNumber', 'CameraSerialNumber', 'InternalSerialNumber'),
    lensSerial: text('LensSerialNumber'),
    burstId: text('BurstID', 'BurstUUID', 'CameraBurstID', 'MediaUniqueID'),
    colorSpace: text('ColorSpace'),
    profile: text('ProfileDescription'),
    bitsPerSample: bitsOf(tags),
    focalLength35: count(value('FocalLengthIn35mmFormat')),
    flash: text('Flash'),
    exposureBias: within(value('ExposureCompensation'), -100, 100),
    exposureProgram: text('ExposureProgram'),
    meteringMode: text('MeteringMode'),
    whiteBalance: text('WhiteBalance'),
    city: text('City'),
    state: text('State', 'Province-State'),
    country: text('Country', 'Country-PrimaryLocationName'),
  }
}

/**
 * Where tags are looked for, as Immich does, best first: digiKam's list, Lightroom's with `|` between levels,
 * then plain keywords (IPTC's and XMP's are one under the rules of the Metadata Working Group). Null: the
 * file says nothing of tags.
 */
function tagsOf(tags: Tags | null): string[] | null {
  const all = (tags ?? {}) as AnyTags
  if (all.TagsList !== undefined) return texts(all.TagsList).map(pathOf('/'))
  if (all.HierarchicalSubject !== undefined) return texts(all.HierarchicalSubject).map(pathOf('|'))
  if (all.Keywords === undefined && all.Subject === undefined) return null
  return unique([...texts(all.Keywords), ...texts(all.Subject)].map(pathOf(null)))
}

/** Levels without blanks around them, none empty. `separator` null: one level. */
function pathOf(separator: string | null): (tag: string) => string {
  return (tag) => {
    if (separator === '/') return levels(tag.split('/'))
    return levels(
      (separator === null ? [tag] : tag.split(separator)).map((part) => part.replaceAll('/', '|')),
    )
  }
}

function levels(parts: string[]): string {
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .join('/')
}

function texts(value: unknown): string[] {
  const list = value === undefined ? [] : Array.isArray(value) ? value : [value]
  const clean = list.slice(0, MOST_ITEMS).map((item) => cleanText(item)?.slice(0, MAX_TAG) ?? '')
  return unique(clean.filter((item) => item !== ''))
}

function unique(items: string[]): string[] {
  return [...new Set(items)].filter((item) => item !== '')
}

/**
 * Regions of the Metadata Working Group (Lightroom, digiKam, Picasa, Apple) or of Microsoft (Windows Photo
 * Gallery). Null: the file says nothing of regions.
 */
function facesOf(tags: Tags | null): FaceRegion[] | null {
  const all = (tags ?? {}) as AnyTags
  const listed = listOf((all.RegionInfo as AnyTags | undefined)?.RegionList)
  const microsoft = listOf((all.RegionInfoMP as AnyTags | undefined)?.Regions)
  if (listed === null && microsoft === null) return null
  const regions = [
    ...(listed ?? []).map((region) => regionOf(region, all.RegionInfo as AnyTags)),
    ...(microsoft ?? []).map(microsoftRegionOf),
  ]
  return regions.filter((region) => region !== null).slice(0, MOST_ITEMS)
}

function listOf(value: unknown): AnyTags[] | null {
  if (value === undefined || value === null) return null
  const list = Array.isArray(value) ? value : [value]
  return list.filter((item): item is AnyTags => typeof item === 'object' && item !== null)
}

/** An area is given by its centre, in fractions or, by a few programs, in pixels. */
function regionOf(region: AnyTags, info: AnyTags): FaceRegion | null {
  const area = (region.Area ?? {}) as AnyTags
  const applied = (info.AppliedToDimensions ?? {}) as AnyTags
  const isPixels = area.Unit === 'pixel'
  const scale = (value: unknown, edge: unknown) => {
    const parsed = number(value)
    const length = isPixels ? number(edge) : 1
    return parsed === null || length === null || length <= 0 ? null : parsed / length
  }
  const x = scale(area.X, applied.W)
  const y = scale(area.Y, applied.H)
  // A circle has a diameter, in fractions of the shorter edge, about.
  const width = scale(area.W ?? area.D, applied.W)
  const height = scale(area.H ?? area.D, applied.H)
  if (x === null || y === null || width === null || height === null) return null
  return sensible({
    name: cleanText(region.Name),
    type: cleanText(region.Type) ?? 'Face',
    left: x - width / 2,
    top: y - height / 2,
    width,
    height,
  })
}

/** `Rectangle` is `left, top, width, height`; a person without one was named without being shown. */
function microsoftRegionOf(region: AnyTags): FaceRegion | null {
  const [left, top, width, height] = String(region.Rectangle ?? '')
    .split(',')
    .map(Number)
  const name = cleanText(region.PersonDisplayName)
  if (left === undefined || top === undefined || width === undefined || height === undefined) return null
  return sensible({ name, type: 'Face', left, top, width, height })
}

/** Null for what shows nothing of the picture. */
function sensible(region: FaceRegion): FaceRegion | null {
  const { left, top, width, height } = region
  if (![left, top, width, height].every(Number.isFinite)) return null
  const isShown = width > 0 && height > 0 && left < 1 && top < 1 && left + width > 0 && top + height > 0
  return isShown && width <= 4 && height <= 4 ? region : null
}

/** Some formats give the sum of three channels. */
function bitsOf(tags: Tags): number | null {
  const bits = count((tags as AnyTags).BitsPerSample ?? (tags as AnyTags).BitDepth)
  if (bits === null || bits > 256) return null
  return bits >= 24 && bits % 3 === 0 ? bits / 3 : bits
}

function within(value: unknown, least: number, most: number): number | null {
  const parsed = number(value)
  return parsed !== null && parsed >= least && parsed <= most ? parsed : null
}
