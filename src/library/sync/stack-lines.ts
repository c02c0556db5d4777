import type { Field } from './line.ts'
import { type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'

export const STACK: readonly Field[] = [
  ['id', 'uuid', 'stack.id'],
  ['ownerId', 'uuid', 'stack.owner_id'],
  ['primaryAssetId', 'uuid', 'stack.primary_asset_id'],
  ['createdAt', 'time', 'stack.created_at'],
  ['updatedAt', 'time', 'stack.updated_at'],
]

/** The user's own. Which assets are in one, the lines of the assets say. */
export function* stacks(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  yield removals(sync, {
    type: 'StackDeleteV1',
    kind: 'stack',
    scope: `removal.scope_id = ${me}`,
    fields: [['stackId', 'uuid', 'removal.subject_id']],
  })
  yield upserts(sync, {
    type: 'StackV1',
    fields: STACK,
    id: 'stack.update_id',
    from: `stack where stack.owner_id = ${me}`,
  })
}
