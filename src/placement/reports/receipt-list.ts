import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import type { Proof } from '../ledger/objects.ts'
import type { ReplicaState } from '../states.ts'

export type ListedReplica = {
  location: string
  key: string
  state: ReplicaState
  proofLevel: number | null
  proof: Proof | null
  /** ISO 8601. */
  verifiedAt: string | null
}
export type ListedObject = {
  objectId: string
  /** Lower-case hex. */
  sha256: string
  size: number
  replicas: ListedReplica[]
}

/** What the ledger can show for each of the objects, without their history; by their ids. */
export async function listReceipts(
  db: Database,
  objectIds: readonly string[],
): Promise<Map<string, ListedObject>> {
  const { rows } = await sql<ListedObject>`
    select o.id as "objectId", encode(o.sha256, 'hex') as sha256, o.size::float8 as size,
      coalesce((select jsonb_agg(jsonb_build_object('location', r.location_id, 'key', r.key, 'state', r.state,
          'proofLevel', r.proof_level, 'proof', r.proof,
          'verifiedAt', to_char(r.verified_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by r.location_id)
        from replica r where r.object_id = o.id), '[]') as replicas
    from stored_object o where o.id = any(${uuidArray(objectIds)}::uuid[])`.execute(db)
  return new Map(rows.map((row) => [row.objectId, row]))
}
