import { checkAlerts } from '../../library/notifications/alerts.ts'
import { NO_NOTIFICATIONS } from '../../library/notifications/settings.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function checkAlertsJob({ placement, config, log }: JobParts): JobHandlers['check-alerts'] {
  return async () => {
    const changes = await checkAlerts(placement, config.notifications ?? NO_NOTIFICATIONS)
    if (changes.opened + changes.closed > 0) log.info(changes, 'alerts were opened or closed')
  }
}
