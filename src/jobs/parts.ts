import type { Database } from '../database/connect.ts'
import type { NotificationSettings } from '../library/notifications/settings.ts'
import type { ReadingBudget } from '../library/processing/reading-budget.ts'
import type { Log } from '../log.ts'
import type { PictureSettings } from '../media/derive.ts'
import type { MediaTools } from '../media/processes/tools.ts'
import type { Placement } from '../placement/placement.ts'

/** The parts of the app that jobs need. */
export type JobAppParts = {
  config: {
    media: PictureSettings
    /** Absent: DEFAULT_READING_BUDGET. */
    reading?: ReadingBudget
    /** Absent: nobody is told outside of the page. */
    notifications?: NotificationSettings
  }
  log: Log
  db: Database
  placement: Placement
  mediaTools: MediaTools
}
export type JobParts = JobAppParts & {
  /** Tells open storage pages that something moved; cheap to call often. */
  announceStorage(): Promise<void>
}
