/**
 * One page of a listing: prefix, delimiter, where to go on. Used by ListObjects (both) and
 * ListObjectVersions.
 */
import type { StrictProfile } from '../profiles.ts'
import { S3Error } from '../wire/s3-error.ts'
import { encodeRfc3986 } from '../wire/signature.ts'
import type { KeyRecord, ListPosition, ObjectStore } from './object-store.ts'

export type Page<Entry> = {
  entries: Entry[]
  commonPrefixes: string[]
  isTruncated: boolean
  /** Where the next page begins; null on the last one. */
  next: ListPosition
}

export type PageOptions = { prefix: string; delimiter: string; from: ListPosition; maxKeys: number }

/**
 * `entriesOf` gives what a key adds to the page (none: the key is not seen here). Keys are never split over
 * pages, so that a key with many versions may make a page longer than `maxKeys`.
 */
export async function listPage<Entry>(
  store: ObjectStore,
  bucket: string,
  options: PageOptions,
  entriesOf: (record: KeyRecord) => Entry[],
): Promise<Page<Entry>> {
  const { prefix, delimiter, maxKeys } = options
  const page: Page<Entry> = { entries: [], commonPrefixes: [], isTruncated: false, next: null }
  if (maxKeys === 0) return page
  let from = options.from
  let last: ListPosition = null
  let count = 0
  for (;;) {
    let skipped: string | null = null
    for await (const record of store.records(bucket, { prefix, from })) {
      const found = entriesOf(record)
      if (found.length === 0) continue
      const cut = delimiter === '' ? -1 : record.key.indexOf(delimiter, prefix.length)
      const common = cut < 0 ? null : record.key.slice(0, cut + delimiter.length)
      const isResumed = common !== null && from !== null && 'afterKey' in from && from.afterKey === common
      if (!isResumed && count >= maxKeys) return { ...page, isTruncated: true, next: last }
      if (common === null) {
        page.entries.push(...found)
        count += found.length
        last = { afterKey: record.key }
        continue
      }
      if (!isResumed) {
        page.commonPrefixes.push(common)
        count += 1
        last = { afterPrefix: common }
      }
      skipped = common
      break
    }
    if (skipped === null) return page
    // The rest of a common prefix is skipped unread.
    from = { afterPrefix: skipped }
  }
}

/** `max-keys` and its kin: no more than the profile's page, whatever is asked for. */
export function pageSize(
  query: Map<string, string>,
  name: string,
  { maxPageKeys: maxPage }: Pick<StrictProfile, 'maxPageKeys'>,
): number {
  const text = query.get(name)
  if (text === undefined || text === '') return maxPage
  if (!/^\d+$/.test(text) || Number(text) > 2_147_483_647) {
    throw new S3Error('InvalidArgument', {
      message: `Argument ${name} must be an integer between 0 and 2147483647`,
      details: { ArgumentName: name, ArgumentValue: text },
    })
  }
  return Math.min(Number(text), maxPage)
}

/** `encoding-type=url`: keys that XML cannot carry. `/` stays as it is. */
export function keyEncoder(query: Map<string, string>): (text: string) => string {
  const type = query.get('encoding-type')
  if (type === undefined) return (text) => text
  if (type !== 'url') {
    throw new S3Error('InvalidArgument', {
      message: 'Invalid Encoding Method specified in Request',
      details: { ArgumentName: 'encoding-type', ArgumentValue: type },
    })
  }
  return (text) => text.split('/').map(encodeRfc3986).join('/')
}

/** An opaque token for a position, and back. */
export function writeToken(position: ListPosition): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url')
}

export function readToken(token: string): ListPosition {
  const invalid = () =>
    new S3Error('InvalidArgument', {
      message: 'The continuation token provided is incorrect',
      details: { ArgumentName: 'continuation-token' },
    })
  let position: unknown
  try {
    position = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
  } catch {
    throw invalid()
  }
  if (typeof position !== 'object' || position === null) throw invalid()
  if ('afterKey' in position && typeof position.afterKey === 'string') return { afterKey: position.afterKey }
  if ('afterPrefix' in position && typeof position.afterPrefix === 'string')
    return { afterPrefix: position.afterPrefix }
  throw invalid()
}

/** Entries of a page in another order, the same each time: by a hash of their place. */
export function unsorted<Entry>(entries: Entry[]): Entry[] {
  return entries
    .map((entry, at) => ({ entry, rank: (at * 2_654_435_761) % 4_294_967_296 }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ entry }) => entry)
}
