import { type RawBuilder, sql } from 'kysely'

/**
 * Whether anything in the ledger names the key at the location: a replica in whatever state (also of a direct
 * upload or a backup), a change of class, an upload that is sent on, a key that is to be cleared.
 */
export function namesKeySql(locationId: RawBuilder<unknown>, key: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(
    exists (select from replica n where n.location_id = ${locationId} and n.key collate "C" = ${key})
    or ${key} in (select k from class_change n
      cross join lateral unnest(array[n.from_key, n.to_key, n.doomed_key]) as k
      where n.location_id = ${locationId} and k is not null)
    or exists (select from unfinished_upload n where n.location_id = ${locationId} and n.key = ${key})
    or exists (select from key_to_clear n where n.location_id = ${locationId} and n.key = ${key}))`
}
