/** How numbers and times are written for people. Pure. */

/** `12,345`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `1 original`, `12 originals`. `many`: where more than an s is added. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`
}

/** What is said of how something stands; `warn`: somebody has to see to it. */
export type Sentence = { text: string; tone: 'plain' | 'warn' }

/** How long something takes: `40 s`, `12 min`, `5 h`, `3 days`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${seconds} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  return seconds < 48 * 3_600 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} days`
}

/** `3 minutes ago`. */
export function ago(iso: string | null, now: Date): string {
  if (iso === null) return 'never'
  const seconds = Math.max(0, (now.getTime() - new Date(iso).getTime()) / 1_000)
  const steps: [number, string][] = [
    [60, 'second'],
    [60, 'minute'],
    [24, 'hour'],
    [Number.POSITIVE_INFINITY, 'day'],
  ]
  let value = seconds
  for (const [size, unit] of steps) {
    if (value < size) return `${plural(Math.floor(value), unit)} ago`
    value /= size
  }
  return 'long ago'
}
