import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import type { Message } from './messages.ts'
import { sendEmail } from './send-email.ts'
import { sendWebhook } from './send-webhook.ts'
import type { NotificationSettings } from './settings.ts'

/**
 * Sends a message, and throws where that fails: the job tries again. One that is sent twice, because a
 * process was killed in between, has the same id both times.
 */
export async function deliver(
  { db, log }: { db: Database; log: Log },
  settings: NotificationSettings,
  deliveryId: string,
  signal?: AbortSignal,
): Promise<void> {
  const row = await db
    .selectFrom('notification_delivery')
    .selectAll()
    .where('id', '=', deliveryId)
    .executeTakeFirst()
  if (row === undefined) return
  const sent = {
    id: row.id,
    at: row.created_at,
    message: row.message as unknown as Message,
    publicUrl: settings.publicUrl,
  }
  if (row.channel === 'email' && settings.email !== null)
    await sendEmail(settings.email, row.recipient, sent, signal)
  else if (row.channel === 'webhook' && settings.webhook !== null)
    await sendWebhook(settings.webhook, sent, signal)
  else
    log.warn(
      { channel: row.channel },
      'a message is not sent, since the way to send it is not configured any more',
    )
  await db.deleteFrom('notification_delivery').where('id', '=', deliveryId).execute()
}
