import { type Field, lineSql } from './line.ts'
import { ackSql, afterCheckpoint, type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'

const MEMORY: readonly Field[] = [
  ['id', 'uuid', 'memory.id'],
  ['ownerId', 'uuid', 'memory.owner_id'],
  ['type', 'word', 'memory.type'],
  ['data', 'json', 'memory.data::text'],
  ['isSaved', 'boolean', 'memory.is_saved'],
  ['memoryAt', 'time', 'memory.memory_at'],
  ['showAt', 'time', 'memory.show_at'],
  ['hideAt', 'time', 'memory.hide_at'],
  ['seenAt', 'time', 'memory.seen_at'],
  ['createdAt', 'time', 'memory.created_at'],
  ['updatedAt', 'time', 'memory.updated_at'],
  ['deletedAt', 'time', 'memory.deleted_at'],
]

/** The user's own, also those of days to come. */
export function* memories(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'MemoryDeleteV1',
    kind: 'memory',
    scope: `removal.scope_id = ${me}`,
    fields: [['memoryId', 'uuid', 'removal.subject_id']],
  })
  yield upserts(sync, {
    type: 'MemoryV1',
    fields: MEMORY,
    id: 'memory.update_id',
    from: `memory where memory.owner_id = ${me}`,
  })
}

/**
 * Which assets are in which memory: the user's own and partners', as the client has no others and would
 * refuse the line. Those of a partner who shares again come once more, with the id of the sharing.
 */
export function* memoryToAssets(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'MemoryToAssetDeleteV1',
    kind: 'memory_asset',
    scope: `removal.scope_id in (select memory.id from memory where memory.owner_id = ${me})`,
    fields: [
      ['memoryId', 'uuid', 'removal.scope_id'],
      ['assetId', 'uuid', 'removal.subject_id'],
    ],
  })
  const type = 'MemoryToAssetV1'
  const fields: readonly Field[] = [
    ['memoryId', 'uuid', 'entry.memory_id'],
    ['assetId', 'uuid', 'entry.asset_id'],
  ]
  const reached = sync.checkpoints.get(type)
  // Of several with one id only the last acknowledges it: whoever is cut off between them must get the
  // others.
  const before = reached === undefined ? 'sync_floor(0)' : uuidSql(reached.id)
  const ack = ackSql(sync, `case when entry.id = entry.next_id then ${before} else entry.id end`)
  yield {
    select: `select ${lineSql(type, fields, ack)} from (
        select memory_asset.memory_id, memory_asset.asset_id, late.id, lead(late.id) over (order by late.id) as next_id
        from memory_asset join memory on memory.id = memory_asset.memory_id
        join asset on asset.id = memory_asset.asset_id
        left join partner on partner.shared_by_id = asset.owner_id and partner.shared_with_id = ${me},
        lateral (select greatest(memory_asset.update_id, partner.create_id) as id) as late
        where memory.owner_id = ${me} and (asset.owner_id = ${me} or partner.shared_by_id is not null)
          ${afterCheckpoint(sync, type, 'late.id')}) as entry
      order by entry.id, entry.next_id`,
  }
}
