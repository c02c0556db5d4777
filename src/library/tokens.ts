import { createHash, randomBytes } from 'node:crypto'

/**
 * A fresh secret for a session or an API key: 32 random bytes as 43 characters of base64url. None begins with a dash: a command
 * line takes that for an option (`immich login <url> <key>`).
 */
export function makeToken(): string {
  for (;;) {
    const token = randomBytes(32).toString('base64url')
    if (!token.startsWith('-')) return token
  }
}

/**
 * What the database keeps of a token. A plain SHA-256 does: 256 random bits can't be guessed, so nothing slow is needed,
 * and every request pays for this one.
 */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
