import { S3Error } from './s3-error.ts'

export type Slice = { start: number; end: number }

/**
 * RFC 9110 section 14: null where the whole is to be sent (no Range, another unit, a malformed or multiple
 * range, as S3 does).
 */
export function parseRange(header: string | undefined, size: number): Slice | null {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '')
  if (!found || (found[1] === '' && found[2] === '')) return null
  const unsatisfiable = () =>
    new S3Error('InvalidRange', {
      details: { RangeRequested: header ?? '', ActualObjectSize: String(size) },
      headers: { 'content-range': `bytes */${size}` },
    })
  if (found[1] === '') {
    const last = Number(found[2])
    if (last === 0 || size === 0) throw unsatisfiable()
    return { start: Math.max(0, size - last), end: size - 1 }
  }
  const start = Number(found[1])
  const end = found[2] === '' ? size - 1 : Number(found[2])
  if (end < start && found[2] !== '') return null
  if (start >= size) throw unsatisfiable()
  return { start, end: Math.min(end, size - 1) }
}
