import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import { AppError } from '../../errors.ts'

/**
 * scrypt with N = 2^14, r = 8, p = 5, one of the settings that OWASP counts as equal: 16 MiB and 0.15 s of
 * one core (an AMD EPYC). It was chosen over N = 2^17, p = 1 for its memory: two log-ins at once take 32 MiB
 * instead of 256.
 */
const COST = { N: 16_384, r: 8, p: 5 }
const KEY_BYTES = 32
const SALT_BYTES = 16

/** In characters. The upper limit only keeps somebody from making us hash megabytes. */
export const PASSWORD_LENGTH = { min: 8, max: 1024 }

/**
 * At most so many hashes at once: they run on libuv's threads (4 by default), which the file system needs as
 * well.
 */
const MAX_CONCURRENT = 2
let running = 0
const waiting: (() => void)[] = []

/** `scrypt$N$r$p$salt$key`, salt and key in base64. @throws AppError invalid for a length out of bounds. */
export async function hashPassword(password: string): Promise<string> {
  const { min, max } = PASSWORD_LENGTH
  if (password.length < min || password.length > max) {
    throw new AppError('invalid', `password: must have ${min} to ${max} characters`)
  }
  const salt = randomBytes(SALT_BYTES)
  const key = await derive(password, salt, KEY_BYTES, COST)
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), key.toString('base64')].join('$')
}

/**
 * Whether the password is the hashed one. `hash` null (no such user) takes as long as a real comparison, so
 * that the time of an answer does not tell which addresses have an account.
 */
export async function verifyPassword(password: string, hash: string | null): Promise<boolean> {
  if (password.length > PASSWORD_LENGTH.max) return false
  const [algorithm, N, r, p, salt = '', key = ''] = (hash ?? '').split('$')
  if (hash === null) {
    await derive(password, Buffer.alloc(SALT_BYTES), KEY_BYTES, COST)
    return false
  }
  if (algorithm !== 'scrypt') throw new Error(`a password hash of unknown kind: ${algorithm}`)
  const expected = Buffer.from(key, 'base64')
  const cost = { N: Number(N), r: Number(r), p: Number(p) }
  const actual = await derive(password, Buffer.from(salt, 'base64'), expected.length, cost)
  return timingSafeEqual(actual, expected)
}

async function derive(password: string, salt: Buffer, bytes: number, cost: ScryptOptions): Promise<Buffer> {
  if (running >= MAX_CONCURRENT) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      // The same letters typed on a Mac and on Windows may differ in code points; NFKC makes them one.
      scrypt(password.normalize('NFKC'), salt, bytes, cost, (error, key) =>
        error ? reject(error) : resolve(key),
      )
    })
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
