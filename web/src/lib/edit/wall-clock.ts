/** Dates and places as forms have them. Pure. */

/** UTC offsets that are in use, in minutes. */
export const OFFSETS_MIN = [
  -720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -120, -60, 0, 60, 120, 180, 210,
  240, 270, 300, 330, 345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720, 765, 780, 840,
] as const

/** `+05:45`. */
export function formatOffset(minutes: number): string {
  const size = Math.abs(minutes)
  const digits = (value: number) => String(value).padStart(2, '0')
  return `${minutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60))}:${digits(size % 60)}`
}

/** Of an asset: how far its wall clock is from UTC, in minutes. */
export function offsetOf({
  fileCreatedAt,
  localDateTime,
}: {
  fileCreatedAt: string
  localDateTime: string
}): number {
  return Math.round((Date.parse(localDateTime) - Date.parse(fileCreatedAt)) / 60_000)
}

/** `2019-07-14T18:05` of an input and an offset, as the server takes it. */
export function joinTime(local: string, offsetMinutes: number): string {
  const withSeconds = local.length === 16 ? `${local}:00` : local
  return `${withSeconds}${formatOffset(offsetMinutes)}`
}

/**
 * `52.52, 13.405`, as maps write it, also with degrees and letters (`33.86° S, 151.2° E`) and as part of an
 * address of OpenStreetMap or Google Maps. Null for what is no place on earth.
 */
export function parsePlace(text: string): { latitude: number; longitude: number } | null {
  const address = /#map=[\d.]+\/(-?[\d.]+)\/(-?[\d.]+)|@(-?[\d.]+),(-?[\d.]+)/.exec(text)
  const plain = /^\s*(-?\d+(?:\.\d+)?)\s*°?\s*([NS])?\s*[,;\s]\s*(-?\d+(?:\.\d+)?)\s*°?\s*([EW])?\s*$/i.exec(
    text,
  )
  if (!address && !plain) return null
  const latitude =
    Number(address ? (address[1] ?? address[3]) : plain![1]) * (plain?.[2]?.toUpperCase() === 'S' ? -1 : 1)
  const longitude =
    Number(address ? (address[2] ?? address[4]) : plain![3]) * (plain?.[4]?.toUpperCase() === 'W' ? -1 : 1)
  const isOnEarth = Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180
  return isOnEarth ? { latitude, longitude } : null
}

/** `3 h 20 min later`: a shift in minutes, shown before it is made. */
export function shiftInWords(minutes: number): string {
  const size = Math.abs(minutes)
  const parts = [
    [Math.floor(size / 1440), 'd'],
    [Math.floor((size % 1440) / 60), 'h'],
    [size % 60, 'min'],
  ] as const
  const words = parts.filter(([value]) => value > 0).map(([value, unit]) => `${value} ${unit}`)
  return words.length === 0 ? 'not at all' : `${words.join(' ')} ${minutes > 0 ? 'later' : 'earlier'}`
}
