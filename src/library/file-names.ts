/**
 * Names that every file system takes: those of Linux, macOS and Windows, and of sticks in FAT and exFAT,
 * where capitals make no difference. Pure.
 */
import { extname } from 'node:path'

/** File systems take 255 bytes or characters; a number and `.xmp` come after it. */
const MAX_NAME_BYTES = 200
/** Of a longer one, that is no extension. */
const MAX_EXTENSION_BYTES = 20
// biome-ignore lint/suspicious/noControlCharactersInRegex: no file system but Linux's takes them
const FORBIDDEN = /[\u0000-\u001f\u007f<>:"/\\|?*]/g
/** Devices of Windows, with any extension. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/** `name` as a file or a folder may be called; `fallback` where nothing of it is left. */
export function safeName(name: string, fallback: string): string {
  const cleaned = name.toWellFormed().normalize('NFC').replaceAll(FORBIDDEN, '_').replace(/^\.+/, '_')
  const trimmed = cut(cleaned).replace(/[. ]+$/, '')
  if (trimmed === '' || trimmed === '_') return fallback
  return RESERVED.test(trimmed) ? `_${trimmed}` : trimmed
}

function cut(name: string): string {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name
  const extension = Buffer.byteLength(extname(name)) <= MAX_EXTENSION_BYTES ? extname(name) : ''
  const room = MAX_NAME_BYTES - Buffer.byteLength(extension)
  let base = ''
  let bytes = 0
  for (const character of name.slice(0, name.length - extension.length)) {
    bytes += Buffer.byteLength(character)
    if (bytes > room) break
    base += character
  }
  return base + extension
}

/** What belongs to one photo lies side by side: the film of a live photo, and the sidecar. */
export type NamesOfPhoto = { original: string; film: string | null; sidecar: string | null }

/**
 * The names of a photo's files in a folder; where one of them is taken there, all get the same number:
 * `IMG_1 (2).HEIC`, `IMG_1 (2).MOV`, `IMG_1 (2).HEIC.xmp`. They are taken from then on.
 * @param taken in lower case
 */
export function namesOf(
  { original, film, hasSidecar }: { original: string; film: string | null; hasSidecar: boolean },
  taken: Set<string>,
): NamesOfPhoto {
  const extension = extname(original)
  const base = original.slice(0, original.length - extension.length)
  for (let number = 1; ; number += 1) {
    const numbered = number === 1 ? base : `${base} (${number})`
    const names: NamesOfPhoto = {
      original: numbered + extension,
      film: film === null ? null : numbered + extname(film),
      sidecar: hasSidecar ? `${numbered}${extension}.xmp` : null,
    }
    // A film may have the extension of its still.
    if (names.film?.toLowerCase() === names.original.toLowerCase())
      names.film = names.original + extname(film!)
    const wanted = Object.values(names).flatMap((name) => name?.toLowerCase() ?? [])
    if (wanted.some((name) => taken.has(name))) continue
    for (const name of wanted) taken.add(name)
    return names
  }
}
