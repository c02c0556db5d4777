import type pg from 'pg'
import type { Database } from '../database/connect.ts'
import type { SessionLimits } from '../library/credentials/sessions.ts'
import type { ReadingBudget } from '../library/processing/reading-budget.ts'
import type { UploadWays } from '../library/server/storage-overview.ts'
import type { Log } from '../log.ts'
import type { MediaTools } from '../media/processes/tools.ts'
import type { Placement } from '../placement/placement.ts'

/** The parts of the app that HTTP needs. */
export type HttpParts = {
  config: {
    /** Bytes. */
    uploads: { maxBytes: number }
    /** Absent: local-first for all, and past the server where the bucket is fit for it. */
    storage?: UploadWays
    /** Addresses or networks whose X-Forwarded-* headers are believed; absent: nobody's. */
    trustedProxies?: readonly string[]
    /** Where browsers find this server; absent or null: wherever they ask. */
    publicUrl?: string | null
    /** Absent: DEFAULT_READING_BUDGET. */
    reading?: ReadingBudget
    /** Absent: DEFAULT_SESSION_LIMITS. */
    sessions?: SessionLimits
  }
  log: Log
  db: Database
  pool: pg.Pool
  placement: Placement
  mediaTools: MediaTools
}
