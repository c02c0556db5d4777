import { createHash } from 'node:crypto'
import { orAborted } from '../../placement/or-aborted.ts'
import type { Message } from './messages.ts'
import type { EmailSettings } from './settings.ts'

/** `id`: the same each time that the message is sent. */
export type Sent = { id: string; at: Date; message: Message; publicUrl: string | null }

const CONNECT_MS = 10_000
const SILENCE_MS = 30_000
/** In all: a server that says a line every 20 s would never be silent. */
const WHOLE_MS = 60_000

/** @throws where the server refuses it, or does not answer in time; the error holds no password */
export async function sendEmail(
  { host, port, encryption, user, password, from }: EmailSettings,
  to: string,
  { id, at, message, publicUrl }: Sent,
  signal?: AbortSignal,
): Promise<void> {
  // Loaded only where e-mail is sent.
  const { createTransport } = await import('nodemailer')
  const transport = createTransport({
    host,
    port,
    secure: encryption === 'tls',
    requireTLS: encryption === 'starttls',
    ignoreTLS: encryption === 'none',
    ...(user !== null && password !== null && { auth: { user, pass: password } }),
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    // Nothing in a message is a path or an address to be read.
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  const inTime = AbortSignal.timeout(WHOLE_MS)
  const until = signal === undefined ? inTime : AbortSignal.any([inTime, signal])
  try {
    const sending = transport.sendMail({
      from,
      to: { name: '', address: to },
      subject: `Glassine: ${message.title}`,
      text: [message.text, ...(publicUrl === null ? [] : ['', publicUrl])].join('\n'),
      date: at,
      messageId: `<${id}.${createHash('sha256').update(to).digest('hex').slice(0, 8)}@glassine.invalid>`,
      // No answer of an absent person is wanted (RFC 3834).
      headers: { 'Auto-Submitted': 'auto-generated' },
    })
    await orAborted(sending, until)
  } catch (error) {
    const why = inTime.aborted ? `not taken within ${WHOLE_MS / 1_000} s` : (error as Error).message
    throw new Error(`notifications.email: ${host}:${port}: ${why}`, { cause: error })
  } finally {
    transport.close()
  }
}
