/**
 * Where the command gets its credentials from. They never stand on the command line, which every user of a
 * machine may read.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Credentials } from '../wire/authenticate.ts'
import { UsageError } from './options.ts'

/** `secretIs`: what to tell of the secret. It is itself only where it was just made up. */
export type FoundCredentials = { credentials: Credentials; secretIs: string }

const idVariable = 'STRICT_S3_ACCESS_KEY_ID'
const secretVariable = 'STRICT_S3_SECRET_ACCESS_KEY'

const makeUp = (): Credentials => ({
  accessKeyId: randomBytes(10).toString('hex').toUpperCase(),
  secretAccessKey: randomBytes(30).toString('base64url'),
})

/** From the environment, else from the folder's credentials.json, else new ones. Throws UsageError. */
export async function findCredentials(
  env: Record<string, string | undefined>,
  folder: string | null,
): Promise<FoundCredentials> {
  const accessKeyId = env[idVariable]
  const secretAccessKey = env[secretVariable]
  if (accessKeyId && secretAccessKey)
    return { credentials: { accessKeyId, secretAccessKey }, secretIs: `that of ${secretVariable}` }
  if (accessKeyId || secretAccessKey)
    throw new UsageError(`Set both ${idVariable} and ${secretVariable}, or neither.`)
  return folder === null ? justMade(makeUp()) : keptIn(folder)
}

const justMade = (credentials: Credentials): FoundCredentials => ({
  credentials,
  secretIs: credentials.secretAccessKey,
})

async function keptIn(folder: string): Promise<FoundCredentials> {
  const file = join(resolve(folder), 'credentials.json')
  const fresh = makeUp()
  await mkdir(folder, { recursive: true })
  try {
    await writeFile(file, `${JSON.stringify(fresh, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
    return justMade(fresh)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return { credentials: readKept(await readFile(file, 'utf8'), file), secretIs: `in ${file}` }
}

function readKept(text: string, file: string): Credentials {
  let kept: unknown
  try {
    kept = JSON.parse(text)
  } catch {
    kept = null
  }
  const { accessKeyId, secretAccessKey } = (kept ?? {}) as Partial<Record<keyof Credentials, unknown>>
  if (
    typeof accessKeyId === 'string' &&
    typeof secretAccessKey === 'string' &&
    accessKeyId &&
    secretAccessKey
  )
    return { accessKeyId, secretAccessKey }
  throw new Error(`${file} holds no credentials. Remove it, and new ones are made up.`)
}
