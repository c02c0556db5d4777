import { open } from 'node:fs/promises'
import { type DecodedBy, type Format, formatOf, type MediaType } from '../formats.ts'

/** What the first bytes of a file say that it is. */
export type Content = {
  type: MediaType
  mimeType: string
  decodedBy: DecodedBy
  /** FFmpeg's name of the only demuxer that may open it; null where FFmpeg is not asked. */
  demuxer: string | null
  container: string
}

/** Enough for three packets of an MPEG transport stream with 192-byte packets. */
const HEAD_BYTES = 4096

/** The first bytes of a file; fewer where the file is shorter. Throws what `open` throws. */
export async function readHead(path: string): Promise<{ head: Buffer; size: number }> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
  return { head: buffer.subarray(0, bytesRead), size }
}

/**
 * Names the content by its magic bytes; null where they tell nothing. A name that lies (a PNG called `.jpg`)
 * must not pick the decoder, and FFmpeg must never guess: its playlist formats would open other files and
 * addresses. The name only chooses between formats that share a beginning: RAW files that are TIFF inside.
 */
export function sniffContent(head: Buffer, fileName: string): Content | null {
  const claimed = formatOf(fileName)
  return sniffTiffLike(head, claimed) ?? sniffStill(head) ?? sniffIsoMedia(head, claimed) ?? sniffVideo(head)
}

function sniffTiffLike(head: Buffer, claimed: Format | null): Content | null {
  const raw = (mimeType: string) => image(mimeType, 'embedded-jpeg')
  if (ascii(head, 0, 'FUJIFILMCCD-RAW')) return raw('image/x-fuji-raf')
  if (ascii(head, 0, 'FOVb')) return raw('image/x-sigma-x3f')
  if (ascii(head, 0, '\0MRM')) return raw('image/x-minolta-mrw')
  if (ascii(head, 6, 'HEAPCCDR')) return raw('image/x-canon-crw')
  if (ascii(head, 0, 'IIU\0')) {
    return raw(claimed?.decodedBy === 'embedded-jpeg' ? claimed.mimeType : 'image/x-panasonic-rw2')
  }
  if (ascii(head, 0, 'IIRO') || ascii(head, 0, 'IIRS') || ascii(head, 0, 'MMOR'))
    return raw('image/x-olympus-orf')
  if (ascii(head, 0, 'II*\0') && ascii(head, 8, 'CR')) return raw('image/x-canon-cr2')
  const isTiff = ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].some((magic) => ascii(head, 0, magic))
  if (!isTiff) return null
  return claimed?.decodedBy === 'embedded-jpeg' ? raw(claimed.mimeType) : image('image/tiff', 'sharp')
}

function sniffStill(head: Buffer): Content | null {
  if (bytes(head, 0, 0xff, 0xd8, 0xff)) return image('image/jpeg', 'sharp')
  if (bytes(head, 0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return image('image/png', 'sharp')
  if (ascii(head, 0, 'GIF87a') || ascii(head, 0, 'GIF89a')) return image('image/gif', 'sharp')
  if (ascii(head, 0, 'RIFF') && ascii(head, 8, 'WEBP')) return image('image/webp', 'sharp')
  if (ascii(head, 0, 'BM') && head.length > 26 && head.readUInt32LE(14) <= 124) {
    return image('image/bmp', 'ffmpeg', 'bmp_pipe')
  }
  if (ascii(head, 0, '8BPS')) return image('image/vnd.adobe.photoshop', 'ffmpeg', 'psd_pipe')
  if (bytes(head, 0, 0xff, 0x0a) || ascii(head, 4, 'JXL \r\n'))
    return image('image/jxl', 'ffmpeg', 'jpegxl_pipe')
  if (ascii(head, 4, 'jP  \r\n') || bytes(head, 0, 0xff, 0x4f, 0xff, 0x51)) {
    return image('image/jp2', 'ffmpeg', 'j2k_pipe')
  }
  const text = head.subarray(0, 1024).toString('latin1').trimStart().toLowerCase()
  if (/^(?:\u00ef\u00bb\u00bf)?(?:<\?xml|<!--|<!doctype svg|<svg)/.test(text) && text.includes('<svg')) {
    return image('image/svg+xml', 'sharp')
  }
  return null
}

/** ISO base media (ISO/IEC 14496-12): pictures and films share the container, the brands tell which. */
function sniffIsoMedia(head: Buffer, claimed: Format | null): Content | null {
  const box = head.subarray(4, 8).toString('latin1')
  if (box !== 'ftyp') {
    // QuickTime before 2001, and broken files that start with a piece of a film.
    return ['moov', 'mdat', 'wide', 'free', 'skip'].includes(box) && claimed?.type !== 'IMAGE'
      ? video('video/quicktime', 'mov', 'mov')
      : null
  }
  const end = Math.min(head.length, head.readUInt32BE(0), 256)
  const major = head.subarray(8, 12).toString('latin1')
  const compatible: string[] = []
  for (let at = 16; at + 4 <= end; at += 4) compatible.push(head.subarray(at, at + 4).toString('latin1'))
  if (major === 'crx ') return image('image/x-canon-cr3', 'embedded-jpeg')
  return stillOfBrands(major, compatible, claimed) ?? filmOfBrand(major)
}

/**
 * Brands of pictures, by what they are coded with; each as a still and as a sequence (ISO/IEC 23008-12,
 * annexes B to M; AVIF 1.1, section 8; mp4ra.org/registered-types/brands).
 */
const AVIF_BRANDS = ['avif', 'avis', 'avio']
const HEVC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'hevm', 'hevs']
const OTHER_CODED_BRANDS = ['avci', 'avcs', 'jpeg', 'jpgs', 'j2ki', 'j2is', 'vvic', 'vvis', 'evbi', 'evbs']
/** Any coding: what it is, other brands tell. */
const PICTURE_BRANDS = ['mif1', 'mif2', 'mif3', 'msf1', 'miaf', 'heif']
const ALL_PICTURE_BRANDS = [...AVIF_BRANDS, ...HEVC_BRANDS, ...OTHER_CODED_BRANDS, ...PICTURE_BRANDS]
/**
 * Of films; a file whose first brand is one of these is a film, unless its name and its other brands say that
 * it is a picture.
 */
const FILM_BRAND =
  /^(?:qt {2}|isom|iso[2-9a-c]|mp4[12]|avc1|dash|3g|mmp4|m4[avpb]|f4[vp]|xavc|msnv|ndxc|ndas|hvc1|av01)/i

/**
 * Null: it is a film. Where the first brand is neither a picture's nor a film's, or the brands name both, a
 * name that claims a picture decides.
 */
function stillOfBrands(major: string, compatible: string[], claimed: Format | null): Content | null {
  const isPicture = ALL_PICTURE_BRANDS.includes(major)
  const listsPicture = compatible.some((brand) => ALL_PICTURE_BRANDS.includes(brand))
  const claimsPicture = claimed?.type === 'IMAGE'
  const isDoubtful = listsPicture || !FILM_BRAND.test(major)
  if (!isPicture && !(claimsPicture && isDoubtful)) return null
  const all = [major, ...compatible]
  if (AVIF_BRANDS.includes(major)) return image('image/avif', 'sharp')
  if (HEVC_BRANDS.includes(major)) return image('image/heic', 'libheif')
  return all.some((brand) => AVIF_BRANDS.includes(brand))
    ? image('image/avif', 'sharp')
    : image('image/heif', 'libheif')
}

function filmOfBrand(major: string): Content {
  if (major === 'qt  ') return video('video/quicktime', 'mov', 'mov')
  if (/^3g[gprs2e]/.test(major)) return video('video/3gpp', '3gp', 'mov')
  if (/^M4[VHP]/.test(major)) return video('video/x-m4v', 'mp4', 'mov')
  return video('video/mp4', 'mp4', 'mov')
}

function sniffVideo(head: Buffer): Content | null {
  if (bytes(head, 0, 0x1a, 0x45, 0xdf, 0xa3)) {
    return head.subarray(0, 64).includes('webm')
      ? video('video/webm', 'webm', 'matroska')
      : video('video/x-matroska', 'matroska', 'matroska')
  }
  if (ascii(head, 0, 'RIFF') && ascii(head, 8, 'AVI ')) return video('video/avi', 'avi', 'avi')
  if (bytes(head, 0, 0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11))
    return video('video/x-ms-wmv', 'asf', 'asf')
  if (ascii(head, 0, 'FLV\x01')) return video('video/x-flv', 'flv', 'flv')
  if (bytes(head, 0, 0x06, 0x0e, 0x2b, 0x34)) return video('application/mxf', 'mxf', 'mxf')
  const mpeg = bytes(head, 0, 0, 0, 1, 0xba) || bytes(head, 0, 0, 0, 1, 0xb3)
  if (mpeg) return video('video/mpeg', 'mpeg', head[3] === 0xba ? 'mpeg' : 'mpegvideo')
  for (const [first, length] of [
    [0, 188],
    [4, 192],
  ] as const) {
    if ([0, 1, 2].every((n) => head[first + n * length] === 0x47)) {
      return video('video/mp2t', 'mpegts', 'mpegts')
    }
  }
  return null
}

function image(mimeType: string, decodedBy: DecodedBy, demuxer: string | null = null): Content {
  return { type: 'IMAGE', mimeType, decodedBy, demuxer, container: mimeType.slice('image/'.length) }
}

function video(mimeType: string, container: string, demuxer: string): Content {
  return { type: 'VIDEO', mimeType, decodedBy: 'ffmpeg', demuxer, container }
}

function ascii(head: Buffer, at: number, text: string): boolean {
  return head.subarray(at, at + text.length).equals(Buffer.from(text, 'latin1'))
}

function bytes(head: Buffer, at: number, ...expected: number[]): boolean {
  return head.subarray(at, at + expected.length).equals(Buffer.from(expected))
}
