/** What administrators are shown of the storage, and what everybody is told while it is in trouble: with the ways of uploads. */
import type { Database } from '../database/connect.ts'
import { type StorageHealth, storageHealth } from '../placement/degraded.ts'
import { type DirectMode, findDirectTarget } from '../placement/direct-target.ts'
import type { Placement } from '../placement/placement.ts'
import { type StorageStatus, storageStatus } from '../placement/status.ts'
import type { Actor } from './access.ts'
import { describeRules, strategyFor, type UploadRules, type UploadRulesInUse } from './upload-strategy.ts'

/** As configured; `direct` absent: `auto`. */
export type UploadWays = UploadRules & { upload: { direct?: DirectMode } }

export type UploadsOverview = UploadRulesInUse & {
  /** Whether clients may put originals straight into the bucket now, and why not; null: switched off. */
  direct: { isOffered: boolean; reason: string | null } | null
}
export type StorageOverview = StorageStatus & { uploads: UploadsOverview }

type Parts = { db: Database; placement: Placement }

export async function storageOverview({ db, placement }: Parts, ways: UploadWays): Promise<StorageOverview> {
  const mode = ways.upload.direct ?? 'auto'
  const [status, rules, target] = await Promise.all([
    storageStatus(placement),
    describeRules(db, ways),
    findDirectTarget(placement, mode),
  ])
  const reason = 'location' in target ? null : target.cause
  const direct = mode === 'off' ? null : { isOffered: reason === null, reason }
  return { ...status, uploads: { ...rules, direct } }
}

/** What holds for one user: the strategy of their uploads decides whether these go on. Null: for all but those of a rollout. */
export function storageHealthFor(
  placement: Placement,
  ways: UploadWays,
  user: Pick<Actor, 'userId' | 'email'> | null,
): Promise<StorageHealth> {
  const strategy = user === null ? ways.upload.strategy : strategyFor(ways, user)
  return storageHealth(placement, {
    areForwarded: strategy === 's3-first',
    directMode: ways.upload.direct ?? 'auto',
  })
}
