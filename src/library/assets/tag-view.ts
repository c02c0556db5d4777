import type { Selectable } from 'kysely'
import type { Schema } from '../../database/schema.ts'

/** Immich's `TagResponseDto`. `value`: the whole path, joined by `/`; `name`: its last part. */
export type TagView = {
  id: string
  name: string
  value: string
  color?: string
  parentId?: string
  createdAt: string
  updatedAt: string
}

export function describeTag(row: Selectable<Schema['tag']>): TagView {
  return {
    id: row.id,
    name: row.value.slice(row.value.lastIndexOf('/') + 1),
    value: row.value,
    ...(row.color !== null && { color: row.color }),
    ...(row.parent_id !== null && { parentId: row.parent_id }),
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}
