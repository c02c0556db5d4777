import { randomUUID } from 'node:crypto'
import { AppError } from '../../errors.ts'
import { TEST_MESSAGE } from '../../library/notifications/messages.ts'
import { sendEmail } from '../../library/notifications/send-email.ts'
import { sendWebhook } from '../../library/notifications/send-webhook.ts'
import { adminAddresses } from '../../library/notifications/tell.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

/** Sends a test message on every configured way, and says of each how it went. */
export async function testNotifications({ withDatabase, print, style }: CliContext): Promise<ExitCode> {
  return withDatabase(async (db, { notifications }) => {
    const { email, webhook, publicUrl } = notifications
    const sent = { id: randomUUID(), at: new Date(), message: TEST_MESSAGE, publicUrl }
    const ways: { name: string; send: () => Promise<void> }[] = []
    if (email !== null) {
      const to = email.to.length > 0 ? email.to : await adminAddresses(db)
      ways.push(
        ...to.map((address) => ({
          name: `e-mail to ${address}`,
          send: () => sendEmail(email, address, sent),
        })),
      )
    }
    if (webhook !== null) ways.push({ name: 'webhook', send: () => sendWebhook(webhook, sent) })
    if (ways.length === 0)
      throw new AppError(
        'invalid',
        'Neither notifications.email nor notifications.webhook is configured: messages appear on the page only.',
      )
    let hasFailed = false
    for (const { name, send } of ways) {
      try {
        await send()
        print(`${name}: sent`)
      } catch (error) {
        hasFailed = true
        print(style.red(`${name}: not sent: ${(error as Error).message}`))
      }
    }
    return hasFailed ? EXIT.failed : EXIT.done
  })
}
