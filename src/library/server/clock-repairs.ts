import { sql } from 'kysely'
import { bringBack, type ClockRepair } from '../../database/clock.ts'
import { DIRECT_LIMITS } from '../direct-uploads/limits.ts'

const NOW = sql`now()`

/**
 * What the library wrote while the clock was ahead: what came into the trash then would stay there for longer
 * than was said, and so would who was deleted; what nobody processes or sends would not be taken up, and who
 * logged in would stay so.
 */
export const LIBRARY_CLOCK_REPAIRS: readonly ClockRepair[] = [
  bringBack('asset', 'deleted_at', NOW),
  bringBack('asset', 'created_at', NOW),
  bringBack('app_user', 'deleted_at', NOW),
  bringBack(
    'direct_upload',
    'expires_at',
    sql`now() + ${DIRECT_LIMITS.partsLifetimeMs} * interval '1 millisecond'`,
  ),
  bringBack('direct_upload', 'ended_at', NOW),
  bringBack('session', 'updated_at', NOW),
]
