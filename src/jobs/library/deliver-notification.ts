import { deliver } from '../../library/notifications/deliver.ts'
import { NO_NOTIFICATIONS } from '../../library/notifications/settings.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function deliverNotificationJob({ db, log, config }: JobParts): JobHandlers['deliver-notification'] {
  return ({ deliveryId }, { signal }) =>
    deliver({ db, log }, config.notifications ?? NO_NOTIFICATIONS, deliveryId, signal)
}
