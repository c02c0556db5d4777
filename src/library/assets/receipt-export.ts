/** The receipts of all originals, as CSV or as JSON lines: a page at a time, so that memory stays flat. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type ListedObject, listReceipts } from '../../placement/reports/receipt-list.ts'

/** `json`: one object a line (jsonlines.org). */
export type ReceiptFormat = 'csv' | 'json'

export const RECEIPT_FORMATS = { csv: 'text/csv; charset=utf-8', json: 'application/jsonl' } as const

const PAGE = 500
const PROOFS = ['exists', 'size', 'enforced on the way', 'digest held there', 'read back']
const COLUMNS = [
  ...['assetId', 'ownerId', 'owner', 'originalFileName', 'inTrash', 'sha256', 'size'],
  ...['location', 'key', 'state', 'proofLevel', 'proof', 'provenAt'],
]

type AssetRow = {
  id: string
  ownerId: string
  owner: string
  originalFileName: string
  inTrash: boolean
  objectId: string
}

/**
 * In the order of their ids; of one owner, or of all. What changes meanwhile is in it as it is when its turn
 * comes.
 */
export async function* exportReceipts(
  db: Database,
  format: ReceiptFormat,
  { ownerId }: { ownerId: string | null },
): AsyncGenerator<string> {
  if (format === 'csv') yield csvLine(COLUMNS)
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const assets = await assetPage(db, ownerId, after)
    if (assets.length === 0) return
    const objects = await listReceipts(
      db,
      assets.map(({ objectId }) => objectId),
    )
    yield assets
      .map((asset) => {
        const object = objects.get(asset.objectId)!
        return format === 'csv' ? csvOf(asset, object) : jsonOf(asset, object)
      })
      .join('')
    after = assets.at(-1)!.id
  }
}

async function assetPage(db: Database, ownerId: string | null, after: string): Promise<AssetRow[]> {
  const { rows } = await sql<AssetRow>`
    select a.id, a.owner_id as "ownerId", u.email as owner, a.original_file_name as "originalFileName",
      a.deleted_at is not null as "inTrash", a.original_object_id as "objectId"
    from asset a join app_user u on u.id = a.owner_id
    where a.id > ${after} and (${ownerId}::uuid is null or a.owner_id = ${ownerId}::uuid)
    order by a.id limit ${PAGE}`.execute(db)
  return rows
}

function jsonOf(asset: AssetRow, { sha256, size, replicas }: ListedObject): string {
  const { id, ownerId, owner, originalFileName, inTrash } = asset
  return `${JSON.stringify({ assetId: id, ownerId, owner, originalFileName, inTrash, sha256, size, replicas })}\n`
}

/** A line for each replica; one without a location where there is none. */
function csvOf(asset: AssetRow, { sha256, size, replicas }: ListedObject): string {
  const { id, ownerId, owner, originalFileName, inTrash } = asset
  const common = [id, ownerId, owner, originalFileName, String(inTrash), sha256, String(size)]
  if (replicas.length === 0) return csvLine([...common, '', '', '', '', '', ''])
  return replicas
    .map(({ location, key, state, proofLevel, verifiedAt }) => {
      const level = proofLevel === null ? ['', ''] : [String(proofLevel), PROOFS[proofLevel] ?? '']
      return csvLine([...common, location, key, state, ...level, verifiedAt ?? ''])
    })
    .join('')
}

/** RFC 4180, every cell quoted. */
function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => `"${harmless(cell).replaceAll('"', '""')}"`).join(',')}\r\n`
}

/**
 * A spreadsheet runs a cell that begins like a formula, and a file may have any name: such a cell gets an
 * apostrophe in front (OWASP, CSV injection).
 */
export function harmless(cell: string): string {
  return /^[\s\0]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(cell) ? `'${cell}` : cell
}
