/**
 * What a location holds beside what the ledger expects there, in the order of keys, without a request for
 * each object. Both sides are read in pages, so that a million objects need no more memory than a thousand.
 *
 * The ledger is read a moment after the listing: what was written or removed in between shows as a
 * difference. Nothing may be concluded from an entry before the key was looked at by itself.
 */
import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { ObjectInfo, ObjectKey } from '../../storage/backend.ts'
import { compareKeys } from '../../storage/object-key.ts'
import { KEY_PREFIXES, knownKey } from '../keys.ts'
import type { Proof } from '../ledger/objects.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import type { ObjectState, ReplicaState } from '../states.ts'

const BATCH = 1_000

/**
 * `etag` and `lastModified` as the location says; whether an ETag means anything, the replica's proof must
 * tell.
 */
export type ListedKey = { key: ObjectKey; size: number; etag: string | null; lastModified: Date }

/** `size`, `sha256` (lower-case hex) and `kind` are the object's. */
export type LedgerReplica = {
  key: ObjectKey
  objectId: string
  kind: ObjectKind
  size: number
  sha256: string
  objectState: ObjectState
  state: ReplicaState
  proofLevel: number | null
  proof: Proof | null
  verifiedAt: Date | null
  storageClass: string | null
}

/**
 * Why a key is listed that no replica names. `unknown`: the ledger never gave it out. `used`: it did, and the
 * replica is gone (or given up at this moment). `under-way`: a class change, an upload that is sent on while
 * it arrives, a key to be cleared.
 */
export type Stray = 'unknown' | 'used' | 'under-way'

export type Difference =
  | { listed: ListedKey; replica: LedgerReplica }
  | { listed: ListedKey; replica: null; stray: Stray }
  | { listed: null; replica: LedgerReplica }

/**
 * All keys that the location lists or the ledger has there, after `after`, in byte order, one request to the
 * location for each thousand.
 * @throws StorageError of the listing; AppError `unavailable` where the location lists in no order that a
 *   merge can follow
 */
export async function* listLocation(
  placement: Pick<Placement, 'db'>,
  location: Pick<Location, 'id' | 'label' | 'backend'>,
  { after = '', signal }: { after?: string; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Difference> {
  let from = after
  for await (const page of inOrder(location, listOurs(location, after, signal))) {
    const upTo = page.at(-1)!.key
    yield* mergePage(placement, location, page, { from, upTo })
    from = upTo
  }
  for await (const rows of ledgerPages(placement, location.id, { from, upTo: null })) {
    signal?.throwIfAborted()
    for (const replica of rows) yield { listed: null, replica }
  }
}

/** What lies under each of our prefixes, which come in the order of keys, too. */
async function* listOurs(
  { backend }: Pick<Location, 'backend'>,
  after: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectInfo> {
  for (const prefix of KEY_PREFIXES) {
    const isWithin = after.startsWith(prefix)
    if (!isWithin && compareKeys(after, prefix) > 0) continue
    yield* backend.list(prefix, { ...(isWithin && { after }), ...(signal && { signal }) })
  }
}

/**
 * Pages in order, each behind the one before. Some services list in no order within a page; what is read two
 * pages ahead puts that right.
 */
async function* inOrder(
  { label }: Pick<Location, 'label'>,
  listing: AsyncIterable<ObjectInfo>,
): AsyncGenerator<ListedKey[]> {
  let ahead: ListedKey[] = []
  let last = ''
  const takeFirst = (count: number) => {
    ahead.sort((a, b) => compareKeys(a.key, b.key))
    const page = ahead.slice(0, count)
    ahead = ahead.slice(count)
    if (page[0] !== undefined && compareKeys(page[0].key, last) <= 0)
      throw new AppError(
        'unavailable',
        `${label} lists its files in no order: they can't be compared with the ledger`,
      )
    last = page.at(-1)?.key ?? last
    return page
  }
  for await (const { key, size, etag, modifiedAt } of listing) {
    ahead.push({ key, size, etag: etag ?? null, lastModified: modifiedAt })
    if (ahead.length === 2 * BATCH) yield takeFirst(BATCH)
  }
  while (ahead.length > 0) yield takeFirst(BATCH)
}

async function* mergePage(
  placement: Pick<Placement, 'db'>,
  { id }: Pick<Location, 'id'>,
  page: readonly ListedKey[],
  range: { from: string; upTo: string },
): AsyncGenerator<Difference> {
  let next = 0
  const strays: ListedKey[] = []
  for await (const rows of ledgerPages(placement, id, range)) {
    const entries: Difference[] = []
    for (const replica of rows) {
      for (; next < page.length && compareKeys(page[next]!.key, replica.key) < 0; next += 1)
        strays.push(page[next]!)
      const isListed = page[next]?.key === replica.key
      entries.push({ listed: isListed ? page[next]! : null, replica })
      if (isListed) next += 1
    }
    entries.push(...(await tellStrays(placement, id, strays.splice(0))))
    yield* entries.sort((a, b) => compareKeys(keyOf(a), keyOf(b)))
  }
  yield* await tellStrays(placement, id, page.slice(next))
}

const keyOf = ({ listed, replica }: Difference) => (listed ?? replica).key

async function tellStrays(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
  strays: readonly ListedKey[],
): Promise<Difference[]> {
  if (strays.length === 0) return []
  const { rows } = await sql<{ key: string; stray: Stray }>`
    select key,
      case
        when key in (
          select from_key from class_change where location_id = ${locationId}
          union all select to_key from class_change where location_id = ${locationId}
          union all select key from unfinished_upload where location_id = ${locationId}
          union all select key from key_to_clear where location_id = ${locationId}) then 'under-way'
        when exists (select from used_key k where k.location_id = ${locationId} and k.key = stray.key) then 'used'
        else 'unknown'
      end as stray
    from unnest(${strays.map(({ key }) => key)}::text[]) as stray (key)`.execute(db)
  const told = new Map(rows.map(({ key, stray }) => [key, stray]))
  return strays.map((listed) => ({ listed, replica: null, stray: told.get(listed.key)! }))
}

/** Replicas of a location in the order of their keys, those after `from` up to `upTo` (null: to the last). */
async function* ledgerPages(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
  { from, upTo }: { from: string; upTo: string | null },
): AsyncGenerator<LedgerReplica[]> {
  let after = from
  for (;;) {
    const { rows } = await sql<Omit<LedgerReplica, 'key'> & { key: string }>`
      select r.key, r.object_id as "objectId", o.kind, o.size, encode(o.sha256, 'hex') as sha256,
        o.state as "objectState", r.state, r.proof_level as "proofLevel", r.proof, r.verified_at as "verifiedAt",
        r.storage_class as "storageClass"
      from replica r join stored_object o on o.id = r.object_id
      where r.location_id = ${locationId} and r.key collate "C" > ${after}
        ${upTo === null ? sql`` : sql`and r.key collate "C" <= ${upTo}`}
      order by r.key collate "C" limit ${BATCH}`.execute(db)
    if (rows.length > 0) yield rows.map(({ key, ...row }) => ({ ...row, key: knownKey(key) }))
    if (rows.length < BATCH) return
    after = rows.at(-1)!.key
  }
}
