import type { Scenario } from './scenario.ts'
import { BACKUPS } from './scenarios/backups.ts'
import { CAMPAIGNS } from './scenarios/campaigns.ts'
import { CARE } from './scenarios/care.ts'
import { DIRECT_UPLOADS } from './scenarios/direct-uploads.ts'
import { MOVES } from './scenarios/moves.ts'
import { UPLOADS } from './scenarios/uploads.ts'

export const SCENARIOS: readonly Scenario[] = [
  ...UPLOADS,
  ...DIRECT_UPLOADS,
  ...MOVES,
  ...CAMPAIGNS,
  ...CARE,
  ...BACKUPS,
]
