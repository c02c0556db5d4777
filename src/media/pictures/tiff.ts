/**
 * The head of an uncompressed RGB or RGBA TIFF whose pixels follow at once: the cheapest container in which
 * sharp accepts a colour profile beside bare pixels (TIFF 6.0, sections 2 and 18; ICC.1 annex B.4 for tag
 * 34675).
 */
const ENTRIES = 11
const IFD_AT = 8
const BITS_AT = IFD_AT + 2 + ENTRIES * 12 + 4
const PROFILE_AT = BITS_AT + 8

const SHORT = 3
const LONG = 4
const UNDEFINED = 7

export function tiffHeadBytes(profile: Buffer | null): number {
  const end = PROFILE_AT + (profile?.length ?? 0)
  return end + (end % 2)
}

/** `channels`: 4 with transparency, 8 bits each. */
export function tiffHead(picture: {
  width: number
  height: number
  channels?: 3 | 4
  profile: Buffer | null
}): Buffer {
  const { width, height, channels = 4, profile } = picture
  const head = Buffer.alloc(tiffHeadBytes(profile))
  head.write('II*\0', 0, 'latin1')
  head.writeUInt32LE(IFD_AT, 4)
  const entries: [tag: number, type: number, count: number, value: number][] = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, channels, BITS_AT], // bits per sample
    [259, SHORT, 1, 1], // not compressed
    [262, SHORT, 1, 2], // RGB
    [273, LONG, 1, head.length], // where the pixels are
    [277, SHORT, 1, channels], // samples per pixel
    [278, LONG, 1, height], // one strip
    [279, LONG, 1, width * height * channels],
  ]
  // The fourth sample is alpha, not multiplied in.
  if (channels === 4) entries.push([338, SHORT, 1, 2])
  if (profile !== null) entries.push([34675, UNDEFINED, profile.length, PROFILE_AT])
  head.writeUInt16LE(entries.length, IFD_AT)
  entries.forEach(([tag, type, count, value], index) => {
    const at = IFD_AT + 2 + index * 12
    head.writeUInt16LE(tag, at)
    head.writeUInt16LE(type, at + 2)
    head.writeUInt32LE(count, at + 4)
    if (type === SHORT && count === 1) head.writeUInt16LE(value, at + 8)
    else head.writeUInt32LE(value, at + 8)
  })
  for (let sample = 0; sample < 4; sample++) head.writeUInt16LE(8, BITS_AT + sample * 2)
  profile?.copy(head, PROFILE_AT)
  return head
}
