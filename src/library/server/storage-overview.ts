/**
 * What administrators see of the storage, and what everybody sees while it is in trouble, with the ways of
 * uploads.
 */
import type { Database } from '../../database/connect.ts'
import { lastDrill } from '../../placement/catalogue/adoption-state.ts'
import type { Placement } from '../../placement/placement.ts'
import { type StorageHealth, storageHealth } from '../../placement/reports/degraded.ts'
import { type StorageStatus, storageStatus } from '../../placement/reports/status.ts'
import { type DirectMode, findDirectTarget } from '../../placement/uploads/direct-target.ts'
import type { Actor } from '../access.ts'
import type { DrillReport } from '../catalogue/adoption/drill.ts'
import { type CatalogueStatus, catalogueStatus } from '../catalogue/catalogue-status.ts'
import {
  describeRules,
  strategyFor,
  type UploadRules,
  type UploadRulesInUse,
} from '../uploads/upload-strategy.ts'
import { openDecisions } from './decisions.ts'
import { type LossSentence, lossSentence } from './words/loss-words.ts'
import { type Safety, type StateWords, safetyOf, statesOf } from './words/safety.ts'

/** As configured; `direct` absent: `auto`. */
export type UploadWays = UploadRules & { upload: { direct?: DirectMode } }

export type UploadsOverview = UploadRulesInUse & {
  /** Whether clients may put originals straight into the bucket now, and why not; null: switched off. */
  direct: { isOffered: boolean; reason: string | null } | null
}
/**
 * `safety` is the answer in one sentence, `loss` what would be lost if this machine died now, `decisions`
 * what needs somebody; `states` says how each state of an original is marked and called.
 */
export type StorageOverview = StorageStatus & {
  uploads: UploadsOverview
  safety: Safety
  loss: LossSentence | null
  decisions: string[]
  states: readonly StateWords[]
  /** Null where none is kept. */
  catalogue: CatalogueStatus | null
  /** The last restore drill (`glassine restore --drill`); null: there was none. */
  restoreDrill: DrillReport | null
}

type Parts = { db: Database; placement: Placement }

export async function storageOverview({ db, placement }: Parts, ways: UploadWays): Promise<StorageOverview> {
  const mode = ways.upload.direct ?? 'auto'
  const [status, catalogue, rules, target, restoreDrill] = await Promise.all([
    storageStatus(placement),
    catalogueStatus(placement),
    describeRules(db, ways),
    findDirectTarget(placement, mode),
    lastDrill<DrillReport>(db),
  ])
  const reason = 'location' in target ? null : target.cause
  const direct = mode === 'off' ? null : { isOffered: reason === null, reason }
  const found = { ...status, catalogue }
  return { ...found, uploads: { ...rules, direct }, ...inWords(found, placement.now()), restoreDrill }
}

/** A status in the words for people. Pure. */
export function inWords(
  status: StorageStatus & Pick<StorageOverview, 'catalogue'>,
  now: Date,
): Pick<StorageOverview, 'safety' | 'loss' | 'decisions' | 'states'> {
  return {
    safety: safetyOf(status, now),
    loss: lossSentence(status, now),
    decisions: openDecisions(status, now),
    states: statesOf(status),
  }
}

/**
 * What holds for one user: the strategy of their uploads decides whether these go on. Null: for all but those
 * of a rollout.
 */
export function storageHealthFor(
  placement: Placement,
  ways: UploadWays,
  user: Pick<Actor, 'userId' | 'email'> | null,
): Promise<StorageHealth> {
  const strategy = user === null ? ways.upload.strategy : strategyFor(ways, user)
  return storageHealth(placement, {
    areWrittenThrough: strategy === 's3-first',
    directMode: ways.upload.direct ?? 'auto',
  })
}
