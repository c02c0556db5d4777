import { type RawBuilder, sql } from 'kysely'

/** Of an `asset`: the owner of the tag has given it to it, or one below it. */
export function hasTag(ownerId: string, tagId: string): RawBuilder<boolean> {
  return sql<boolean>`asset.id in (
    select tagged.asset_id from tag wanted
    join tag given on given.owner_id = wanted.owner_id
      and (given.id = wanted.id or starts_with(given.value, wanted.value || '/'))
    join tag_asset tagged on tagged.tag_id = given.id
    where wanted.id = ${tagId}::uuid and wanted.owner_id = ${ownerId}::uuid)`
}

/** Of an `asset`: it has none of that owner's tags. */
export function hasNoTag(ownerId: string): RawBuilder<boolean> {
  return sql<boolean>`not exists (
    select from tag_asset tagged join tag given on given.id = tagged.tag_id
    where tagged.asset_id = asset.id and given.owner_id = ${ownerId}::uuid)`
}
