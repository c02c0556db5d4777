/**
 * From keys to paths in a folder and back. A key's `/`-separated segments become folders, the last one a
 * record file:
 *
 *   a/b      ->  a/b~.json          a segment that is too long for a file name goes on in a folder whose name
 *   ends in `~+`
 *
 * All but `a-z 0-9 . _ -` is percent-encoded, upper-case letters too: some file systems don't tell `A` from
 * `a`. `~` never comes out of the encoding, so that the suffixes are unambiguous.
 */
import { join } from 'node:path'

export const recordSuffix = '~.json'
export const continuedSuffix = '~+'
/** File names may have 255 bytes; a suffix is added. */
const maxNameLength = 200

function encodeCharacter(character: string): string {
  if (/^[a-z0-9._-]$/.test(character)) return character
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
}

/** The pieces of one segment: all but the last are continued. */
function encodeSegment(segment: string): string[] {
  // `%` alone is no encoding of anything: it stands for the empty segment.
  if (segment === '') return ['%']
  const pieces = ['']
  for (const character of segment) {
    let encoded = encodeCharacter(character)
    const piece = pieces.at(-1)!
    if (piece === '' && encoded === '.') encoded = '%2e'
    if (piece.length + encoded.length > maxNameLength) pieces.push(encoded === '.' ? '%2e' : encoded)
    else pieces[pieces.length - 1] = piece + encoded
  }
  return pieces
}

/** The path of a key's record, relative to the bucket's folder of keys. */
export function recordPath(key: string): string {
  const segments = key.split('/').map(encodeSegment)
  const folders = segments.flatMap((pieces, at) => {
    const continued = pieces.slice(0, -1).map((piece) => piece + continuedSuffix)
    return at === segments.length - 1 ? continued : [...continued, pieces.at(-1)!]
  })
  return join(...folders, segments.at(-1)!.at(-1)! + recordSuffix)
}

/** What a name in such a folder stands for. `text` continues the key that leads to the folder. */
export type NamedEntry = { name: string; kind: 'record' | 'folder' | 'continued'; text: string }

export function readName(name: string): NamedEntry {
  const decode = (text: string): string => (text === '%' ? '' : decodeURIComponent(text))
  if (name.endsWith(recordSuffix))
    return { name, kind: 'record', text: decode(name.slice(0, -recordSuffix.length)) }
  if (name.endsWith(continuedSuffix)) {
    return { name, kind: 'continued', text: decode(name.slice(0, -continuedSuffix.length)) }
  }
  return { name, kind: 'folder', text: `${decode(name)}/` }
}
