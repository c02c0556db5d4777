/** What is wrong now, as far as somebody must know of it; photos at risk apart, which may be many. */
import { backupStatus } from '../../placement/backups/backup-status.ts'
import type { Placement } from '../../placement/placement.ts'
import { lateCopies } from '../../placement/reports/late-copies.ts'
import { locationsAwayForLong, unhealedReplicas } from '../../placement/reports/trouble.ts'
import type { AlertFacts, AlertKind } from './messages.ts'

export type Condition = {
  kind: Exclude<AlertKind, 'photo-at-risk'>
  /** The location; '': the installation. */
  subject: string
  facts: AlertFacts
}

const DAY_MS = 24 * 3_600_000

export async function currentConditions(
  placement: Placement,
  { backupAfterDays }: { backupAfterDays: number },
): Promise<Condition[]> {
  const [backups, away, late, unhealed] = await Promise.all([
    backupStatus(placement),
    locationsAwayForLong(placement),
    lateCopies(placement),
    unhealedReplicas(placement),
  ])
  const conditions: Condition[] = [
    ...away.map(({ id, label, error }) => ({
      kind: 'location-away' as const,
      subject: id,
      facts: { label, error },
    })),
    ...unhealed.map(({ id, label, count }) => ({
      kind: 'unhealed' as const,
      subject: id,
      facts: { label, count },
    })),
  ]
  if (late.count > 0) conditions.push({ kind: 'fewer-copies', subject: '', facts: { count: late.count } })
  if (backups !== null && backups.everyHours > 0) {
    const ageMs = placement.now().getTime() - new Date(backups.goodSince).getTime()
    // Where backups are made less often than that, one that fails is no reason yet.
    const longMs = Math.max(backupAfterDays * DAY_MS, 2 * backups.everyHours * 3_600_000)
    if (ageMs > longMs)
      conditions.push({ kind: 'late-backup', subject: '', facts: { days: Math.floor(ageMs / DAY_MS) } })
  }
  return conditions
}
