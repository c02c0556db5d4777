/** Who gets a message, and on which ways; in the caller's transaction. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { publish } from '../../database/events.ts'
import { enqueue } from '../../queue/enqueue.ts'
import type { Message } from './messages.ts'
import type { NotificationSettings } from './settings.ts'

/** The oldest ones beyond go. */
const KEPT_NOTIFICATIONS = 500

type Recipient = { id: string; email: string; wantsEmail: boolean }

/** All administrators but `except`, whoever else the e-mail is for, and the webhook. */
export async function tellAdmins(
  tx: Queryable,
  settings: NotificationSettings,
  message: Message,
  { except = null }: { except?: string | null } = {},
): Promise<void> {
  const admins = await recipients(tx, sql`is_admin`)
  const told = admins.filter(({ id }) => id !== except)
  for (const { id } of told) await notify(tx, id, message)
  if (settings.email !== null) {
    // Who gets no e-mail as the owner gets this one, where the configuration names the address.
    const excepted = admins.find(({ id, wantsEmail }) => id === except && wantsEmail)?.email.toLowerCase()
    const all = settings.email.to.length > 0 ? settings.email.to : told.map(({ email }) => email)
    for (const address of new Set(all)) {
      if (address.toLowerCase() !== excepted) await send(tx, 'email', address, message)
    }
  }
  if (settings.webhook !== null) await send(tx, 'webhook', '', message)
}

/** The owner of what it is about, who hears of it by e-mail unless they have switched that off. */
export async function tellOwner(
  tx: Queryable,
  settings: NotificationSettings,
  userId: string,
  message: Message,
): Promise<void> {
  const [owner] = await recipients(tx, sql`id = ${userId}`)
  if (owner === undefined) return
  await notify(tx, owner.id, message)
  if (settings.email !== null && owner.wantsEmail) await send(tx, 'email', owner.email, message)
}

async function recipients(tx: Queryable, who: ReturnType<typeof sql>): Promise<Recipient[]> {
  const { rows } = await sql<Recipient>`
    select id, email, (preferences -> 'emailNotifications' ->> 'enabled') is distinct from 'false' as "wantsEmail"
    from app_user where deleted_at is null and ${who} order by created_at, id`.execute(tx)
  return rows
}

async function notify(
  tx: Queryable,
  userId: string,
  { title, text, level, ...data }: Message,
): Promise<void> {
  const { id } = await tx
    .insertInto('notification')
    .values({ user_id: userId, level, title, description: text, data: JSON.stringify(data) })
    .returning('id')
    .executeTakeFirstOrThrow()
  await sql`
    delete from notification where user_id = ${userId} and id in (
      select id from notification where user_id = ${userId} order by created_at desc, id offset ${KEPT_NOTIFICATIONS})`.execute(
    tx,
  )
  await publish(tx, { type: 'notification-created', notificationId: id, userId })
}

async function send(
  tx: Queryable,
  channel: 'email' | 'webhook',
  recipient: string,
  message: Message,
): Promise<void> {
  const { id } = await tx
    .insertInto('notification_delivery')
    .values({ channel, recipient, message: JSON.stringify(message) })
    .returning('id')
    .executeTakeFirstOrThrow()
  await enqueue(tx, 'deliver-notification', { deliveryId: id })
}

/** Where administrators get their e-mail, unless the configuration says otherwise. */
export async function adminAddresses(db: Queryable): Promise<string[]> {
  return (await recipients(db, sql`is_admin`)).map(({ email }) => email)
}
