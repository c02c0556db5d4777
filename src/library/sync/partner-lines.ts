/** Who shares with whom, and what those who share with the user have. */
import { assetFields, EXIF } from './asset-lines.ts'
import { backfills } from './backfill.ts'
import { type Field, lineSql } from './line.ts'
import { type Part, removals, type Sync, upserts, uuidSql } from './parts.ts'
import { STACK } from './stack-lines.ts'

/** Those who share with the user, in SQL; whether they are shown among the user's own is up to the client. */
export const partnersOf = (sync: Sync): string =>
  `(select partner.shared_by_id from partner where partner.shared_with_id = ${uuidSql(sync.userId)})`

/** Both directions. */
export function* partners(sync: Sync): Generator<Part> {
  const me = uuidSql(sync.userId)
  const side = (key: string) =>
    `case when removal.key = '${key}' then removal.scope_id else removal.subject_id end`
  yield removals(sync, {
    type: 'PartnerDeleteV1',
    kind: 'partner',
    scope: `removal.scope_id = ${me}`,
    fields: [
      ['sharedById', 'uuid', side('shared-by')],
      ['sharedWithId', 'uuid', side('shared-with')],
    ],
  })
  yield upserts(sync, {
    type: 'PartnerV1',
    fields: [
      ['sharedById', 'uuid', 'partner.shared_by_id'],
      ['sharedWithId', 'uuid', 'partner.shared_with_id'],
      ['inTimeline', 'boolean', 'partner.in_timeline'],
    ],
    id: 'partner.update_id',
    from: `partner where (partner.shared_by_id = ${me} or partner.shared_with_id = ${me})`,
  })
}

const unlessLocked = (value: string, instead: string): string =>
  `case when asset.visibility = 'locked' then ${instead} else ${value} end`

/**
 * In the trash or not, whatever their visibility: a client that has an asset must hear what becomes of it. Of
 * what is locked the picture and the name are kept back.
 */
const PARTNER_ASSET: readonly Field[] = assetFields('false').map((field): Field => {
  const [name, kind, expression] = field
  if (name === 'thumbhash') return [name, kind, unlessLocked(expression, 'null')]
  if (name === 'originalFileName') return [name, kind, unlessLocked(expression, `''`)]
  return field
})

/** Without the removals, of `partner-asset-removals.ts`. */
export const partnerAssetLines = (sync: Sync): AsyncGenerator<Part> =>
  ofPartners(sync, {
    backfill: 'PartnerAssetBackfillV2',
    ordinary: 'PartnerAssetV2',
    fields: PARTNER_ASSET,
    id: 'asset.update_id',
    from: (owners) => `asset where asset.owner_id ${owners}`,
  })

/** Not of what is locked; the id of what is unlocked is new. */
export const partnerAssetExifs = (sync: Sync): AsyncGenerator<Part> =>
  ofPartners(sync, {
    backfill: 'PartnerAssetExifBackfillV1',
    ordinary: 'PartnerAssetExifV1',
    fields: EXIF,
    id: 'exif.update_id',
    from: (owners) => `asset_exif exif join asset on asset.id = exif.asset_id
      where exif.owner_id ${owners} and asset.visibility <> 'locked'`,
  })

export async function* partnerStacks(sync: Sync): AsyncGenerator<Part> {
  yield removals(sync, {
    type: 'PartnerStackDeleteV1',
    kind: 'stack',
    scope: `removal.scope_id in ${partnersOf(sync)}`,
    fields: [['stackId', 'uuid', 'removal.subject_id']],
  })
  yield* ofPartners(sync, {
    backfill: 'PartnerStackBackfillV1',
    ordinary: 'PartnerStackV1',
    fields: STACK,
    id: 'stack.update_id',
    from: (owners) => `stack where stack.owner_id ${owners}`,
  })
}

type Shape = {
  backfill: string
  ordinary: string
  fields: readonly Field[]
  id: string
  /** `owners`: what follows the column of the owner in a condition. */
  from(owners: string): string
}

/** All that all partners have; of those who came later what is older, first. */
async function* ofPartners(
  sync: Sync,
  { backfill, ordinary, fields, id, from }: Shape,
): AsyncGenerator<Part> {
  yield* backfills(sync, {
    backfill,
    ordinary,
    of: 'partner',
    select: ({ sourceId, isOlder, ack }) =>
      `select ${lineSql(backfill, fields, ack(id))} from ${from(`= ${uuidSql(sourceId)}`)}
       and ${isOlder(id)} order by ${id}`,
  })
  yield upserts(sync, { type: ordinary, fields, id, from: from(`in ${partnersOf(sync)}`) })
}
