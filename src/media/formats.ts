/**
 * The file formats that Immich's clients offer to upload, and what each one is. Names only: `sniff.ts` finds
 * out what a file really holds.
 */
export type MediaType = 'IMAGE' | 'VIDEO'

/**
 * How a format becomes pixels: by sharp, by libheif, from the JPEG that cameras embed in RAW, or by FFmpeg.
 */
export type DecodedBy = 'sharp' | 'libheif' | 'embedded-jpeg' | 'ffmpeg'

export type Format = {
  /** Lower case, with the dot. */
  extension: string
  type: MediaType
  mimeType: string
  decodedBy: DecodedBy
}

const SHARP_IMAGES = {
  '.avif': 'image/avif',
  '.gif': 'image/gif',
  '.insp': 'image/jpeg',
  '.jpe': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.mpo': 'image/jpeg',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
  '.webp': 'image/webp',
}
const HEIF_IMAGES = { '.heic': 'image/heic', '.heif': 'image/heif', '.hif': 'image/hif' }
const FFMPEG_IMAGES = {
  '.bmp': 'image/bmp',
  '.jp2': 'image/jp2',
  '.jxl': 'image/jxl',
  '.psd': 'image/vnd.adobe.photoshop',
}
const RAW_IMAGES = {
  '.3fr': 'image/x-hasselblad-3fr',
  '.ari': 'image/x-arriflex-ari',
  '.arw': 'image/x-sony-arw',
  '.cap': 'image/x-phaseone-cap',
  '.cin': 'image/x-phantom-cin',
  '.cr2': 'image/x-canon-cr2',
  '.cr3': 'image/x-canon-cr3',
  '.crw': 'image/x-canon-crw',
  '.dcr': 'image/x-kodak-dcr',
  '.dng': 'image/x-adobe-dng',
  '.erf': 'image/x-epson-erf',
  '.fff': 'image/x-hasselblad-fff',
  '.iiq': 'image/x-phaseone-iiq',
  '.k25': 'image/x-kodak-k25',
  '.kdc': 'image/x-kodak-kdc',
  '.mrw': 'image/x-minolta-mrw',
  '.nef': 'image/x-nikon-nef',
  '.nrw': 'image/x-nikon-nrw',
  '.orf': 'image/x-olympus-orf',
  '.ori': 'image/x-olympus-ori',
  '.pef': 'image/x-pentax-pef',
  '.raf': 'image/x-fuji-raf',
  '.raw': 'image/x-panasonic-raw',
  '.rw2': 'image/x-panasonic-rw2',
  '.rwl': 'image/x-leica-rwl',
  '.sr2': 'image/x-sony-sr2',
  '.srf': 'image/x-sony-srf',
  '.srw': 'image/x-samsung-srw',
  '.x3f': 'image/x-sigma-x3f',
}
const VIDEOS = {
  '.3gp': 'video/3gpp',
  '.3gpp': 'video/3gpp',
  '.avi': 'video/avi',
  '.flv': 'video/x-flv',
  '.insv': 'video/mp4',
  '.m2t': 'video/mp2t',
  '.m2ts': 'video/mp2t',
  '.m4v': 'video/x-m4v',
  '.mkv': 'video/x-matroska',
  '.mov': 'video/quicktime',
  '.mp4': 'video/mp4',
  '.mpe': 'video/mpeg',
  '.mpeg': 'video/mpeg',
  '.mpg': 'video/mpeg',
  '.mts': 'video/mp2t',
  '.mxf': 'application/mxf',
  '.ts': 'video/mp2t',
  '.vob': 'video/mpeg',
  '.webm': 'video/webm',
  '.wmv': 'video/x-ms-wmv',
}
const SIDECARS = ['.xmp']
const WEB_SAFE = new Set(['image/avif', 'image/gif', 'image/jpeg', 'image/png', 'image/webp'])

const FORMATS: ReadonlyMap<string, Format> = new Map(
  [
    ...describe('IMAGE', 'sharp', SHARP_IMAGES),
    ...describe('IMAGE', 'libheif', HEIF_IMAGES),
    ...describe('IMAGE', 'ffmpeg', FFMPEG_IMAGES),
    ...describe('IMAGE', 'embedded-jpeg', RAW_IMAGES),
    ...describe('VIDEO', 'ffmpeg', VIDEOS),
  ].map((format) => [format.extension, format]),
)

function describe(type: MediaType, decodedBy: DecodedBy, mimeTypes: Record<string, string>): Format[] {
  return Object.entries(mimeTypes).map(([extension, mimeType]) => ({
    extension,
    type,
    mimeType,
    decodedBy,
  }))
}

/**
 * The format that a file name claims, by its last extension, in any case; null where Glassine does not take
 * it.
 */
export function formatOf(fileName: string): Format | null {
  return FORMATS.get(extensionOf(fileName)) ?? null
}

/** True for pictures that every current browser shows as they are. Videos: see `MediaFacts.video`. */
export function isWebSafe(mimeType: string): boolean {
  return WEB_SAFE.has(mimeType)
}

/** One container, which players open by any of these types: some take only the one that they know. */
const SAME_CONTAINER = [
  ['video/mp4', 'video/quicktime', 'video/x-m4v', 'video/3gpp'],
  ['image/heic', 'image/heif', 'image/hif'],
]

/**
 * The type to serve a file with whose bytes are of `mimeType`: that, unless its name claims another one of
 * the same container.
 */
export function servedType(mimeType: string, fileName: string): string {
  const claimed = formatOf(fileName)?.mimeType
  const family = SAME_CONTAINER.find((types) => types.includes(mimeType)) ?? []
  return claimed !== undefined && family.includes(claimed) ? claimed : mimeType
}

/** True for the name of a metadata sidecar (`.xmp`). */
export function isSidecarName(fileName: string): boolean {
  return SIDECARS.includes(extensionOf(fileName))
}

/** Extensions with their dots, sorted, as `GET /api/server/media-types` lists them. */
export function supportedExtensions(): { image: string[]; video: string[]; sidecar: string[] } {
  const of = (type: MediaType) =>
    [...FORMATS.values()].filter((format) => format.type === type).map((format) => format.extension)
  return { image: of('IMAGE').toSorted(), video: of('VIDEO').toSorted(), sidecar: [...SIDECARS] }
}

function extensionOf(fileName: string): string {
  const dot = fileName.lastIndexOf('.')
  return dot < 0 ? '' : fileName.slice(dot).toLowerCase()
}
