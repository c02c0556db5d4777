/** What contradicts in `notifications`; types and ranges are the schema's. */
import type { Mistake } from './mistakes.ts'
import type { ConfigFile } from './schema.ts'

/** Fewer characters can be tried out. */
const MIN_SECRET_LENGTH = 24
const LOOPBACK = /^(localhost|127(\.\d+){3}|::1)$/

export function findNotificationMistakes({ email, webhook }: ConfigFile['notifications']): Mistake[] {
  const mistakes: Mistake[] = []
  const at = (path: string[], wrong: string, right: string) =>
    mistakes.push({ path: ['notifications', ...path], wrong, right })
  if (email !== null) {
    if ((email.user === null) !== (email.password === null))
      at(
        ['email', email.user === null ? 'user' : 'password'],
        'only one of user and password is set',
        'set both, or neither where the server asks for none',
      )
    if (email.password !== null && email.encryption === 'none' && !LOOPBACK.test(email.host))
      at(
        ['email', 'encryption'],
        'the password would go over the network as it is',
        'write starttls (port 587) or tls (port 465)',
      )
  }
  if (webhook !== null) {
    const { username, password, hash } = new URL(webhook.url)
    if (username || password || hash)
      at(
        ['webhook', 'url'],
        'this holds a user, a password or a fragment',
        'leave it out: the signature proves who sends',
      )
    if (webhook.secret.length < MIN_SECRET_LENGTH)
      at(['webhook', 'secret'], 'this is too short', `write at least ${MIN_SECRET_LENGTH} random characters`)
  }
  return mistakes
}
