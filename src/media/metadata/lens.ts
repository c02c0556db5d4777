import type { Tags } from 'exiftool-vendored'
import { cleanText, stated } from './values.ts'

/** `18-55mm f/3.5-5.6`, `24.0-70.0 mm`, `50 mm F1.8`: what the lens can do, not what it is called. */
const RANGE_ONLY = /^[\d.]+(?:\s*mm)?(?:\s*-\s*[\d.?]+)?\s*mm(?:\s*f\/?\s*[\d.?]+(?:\s*-\s*[\d.?]+)?)?$/i
const NO_NAME = /^(?:unknown\b.*|n\/a|none|no lens.*|manual lens.*|-+|[-\s()\d.]*)$/i

/**
 * The name of the lens: as the file writes it, else as ExifTool's list of the makers' numbers has it. Null
 * where there is no name, but only a number, a range, or what ExifTool says of a number that it doesn't know.
 */
export function lensOf(sidecar: Tags | null, tags: Tags): string | null {
  return stated([sidecar, tags], ['LensModel', 'LensID', 'Lens'], nameOf)
}

function nameOf(value: unknown): string | null {
  const name = cleanText(value)
  if (name === null || !/\p{L}{2}/u.test(name) || NO_NAME.test(name) || RANGE_ONLY.test(name)) return null
  // Bytes that were no text come as question marks.
  const unreadable = name.match(/[?\ufffd]/g)?.length ?? 0
  return unreadable > 2 && unreadable > name.length / 5 ? null : name
}
