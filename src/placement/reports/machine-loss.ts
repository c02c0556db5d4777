/** What would be lost if this machine died now, with all its disks. */
import { sql } from 'kysely'
import { loadInstallation } from '../../database/backups/installation.ts'
import { knownBackups } from '../backups/backup-rows.ts'
import type { Amount } from '../ledger/objects.ts'
import { isDoubtedSql } from '../ledger/replicas.ts'
import { isAway } from '../location.ts'
import type { Placement } from '../placement.ts'

export type MachineLoss = {
  /** Originals that have a verified copy, and none away from this machine of which nothing is doubted. */
  originals: Amount
  /**
   * Originals with such a copy that the newest backup does not know: their files would be there, and nobody
   * would know whose they are.
   */
  unlisted: Amount
  /** Of the database; null where this process makes no backups. */
  backup: {
    /** Of the newest one with a verified copy away from this machine, ISO 8601; null: there is none. */
    takenAt: string | null
    /** Somebody said that the key is written down: without it nobody can open the backup elsewhere. */
    isKeyWrittenDown: boolean
  } | null
}

export async function machineLoss(
  placement: Pick<Placement, 'db' | 'locations' | 'backups'>,
): Promise<MachineLoss> {
  const { db, locations } = placement
  // What belongs to another installation is not relied on: its owner may remove it at any time.
  const away = [...locations.values()].filter((one) => isAway(one) && !one.isReadOnly).map(({ id }) => id)
  const backup = placement.backups === null ? null : await newestAway(placement, away)
  const { rows } = await sql<{ isAway: boolean; count: number; bytes: number }>`
    select is_away as "isAway", count(*)::float8 as count, coalesce(sum(size), 0)::float8 as bytes from (
      select o.size, o.created_at,
        bool_or(r.location_id = any(${away}::text[]) and not ${isDoubtedSql(sql`r`)}) as is_away
      from stored_object o join replica r on r.object_id = o.id and r.state = 'verified'
      where o.kind = 'original' and o.state = 'live' and o.is_linked
      group by o.id
    ) known
    where not is_away or created_at >= ${backup?.takenAt ?? '-infinity'}::timestamptz
    group by is_away`.execute(db)
  const amountOf = (isThere: boolean): Amount => {
    const { count, bytes } = rows.find((row) => row.isAway === isThere) ?? { count: 0, bytes: 0 }
    return { count, bytes }
  }
  return { originals: amountOf(false), unlisted: amountOf(true), backup }
}

async function newestAway(
  { db }: Pick<Placement, 'db'>,
  away: readonly string[],
): Promise<MachineLoss['backup']> {
  const [known, { keyConfirmedAt }] = await Promise.all([knownBackups(db), loadInstallation(db)])
  const newest = known.find(
    ({ isOfAnotherLine, at }) => !isOfAnotherLine && at.some(({ locationId }) => away.includes(locationId)),
  )
  return { takenAt: newest?.takenAt.toISOString() ?? null, isKeyWrittenDown: keyConfirmedAt !== null }
}
