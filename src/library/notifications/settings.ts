/** How administrators are told outside of the page, as configured. */

export type EmailSettings = {
  host: string
  port: number
  /** `starttls` is demanded, not merely offered. */
  encryption: 'starttls' | 'tls' | 'none'
  user: string | null
  password: string | null
  from: string
  /** Who gets what administrators are told; empty: the addresses of all administrators. */
  to: string[]
}

export type WebhookSettings = { url: string; secret: string }

export type NotificationSettings = {
  /** A backup that is older, in days, is worth telling. */
  backupAfterDays: number
  email: EmailSettings | null
  webhook: WebhookSettings | null
  /** Where the page is, for links; null: it is not known. */
  publicUrl: string | null
}

export const NO_NOTIFICATIONS: NotificationSettings = {
  backupAfterDays: 3,
  email: null,
  webhook: null,
  publicUrl: null,
}
