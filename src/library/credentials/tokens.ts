import { hash, randomBytes } from 'node:crypto'

const TOKEN_LENGTH = 43

/**
 * A fresh secret for a session or an API key: 256 random bits as 43 letters and digits. No other characters:
 * a key that begins with `-` is an option to a command line, the Immich CLI's for one.
 */
export function makeToken(): string {
  let token = ''
  // 48 bytes are 64 characters without padding, of which 2 in 64 are left out.
  while (token.length < TOKEN_LENGTH) token += randomBytes(48).toString('base64').replace(/[+/]/g, '')
  return token.slice(0, TOKEN_LENGTH)
}

/**
 * What the database keeps of a token. A plain SHA-256 does: 256 random bits can't be guessed, so nothing slow
 * is needed, and every request pays for this one.
 */
export function hashToken(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
