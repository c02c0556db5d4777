/** Which of the backups at a location is restored. */
import type { BackupHeader } from '../../database/backups/format.ts'
import { checkBackup } from '../../database/backups/read-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Location } from '../location.ts'
import { assertAsNamed, type FoundBackup, findBackups, peekAt, readFound } from './found-backups.ts'

/** `ofAll`: how many the location holds of this installation. */
export type ChosenBackup = { found: FoundBackup; header: BackupHeader; ofAll: number }

/**
 * The newest one that the key opens, or the one that was asked for. One that is damaged is never passed over
 * in silence: who restores an older one must have said so.
 */
export async function chooseBackup(
  location: Location,
  identity: string,
  at: string | undefined,
): Promise<ChosenBackup> {
  const all = await findBackups(location)
  if (all.length === 0)
    throw new AppError('not-found', `There is no backup at ${location.label}: nothing lies under backups/.`)
  const wanted = at === undefined ? all : upTo(all, at)
  const failed: { found: FoundBackup; error: AppError }[] = []
  for (const found of wanted) {
    try {
      const header = await peekAt(location, found, identity)
      const own = failed.filter((one) => one.found.installation === found.installation)
      if (own[0] !== undefined) throw damagedNewest(own[0].found, own[0].error, found)
      return {
        found,
        header,
        ofAll: all.filter(({ installation }) => installation === found.installation).length,
      }
    } catch (error) {
      if (!isAppError(error, 'invalid') && !isAppError(error, 'corrupt')) throw error
      if (error.details?.isChoice === true) throw error
      failed.push({ found, error })
    }
  }
  const damage = failed.find(({ error }) => error.code === 'corrupt')
  if (damage !== undefined) throw new AppError('corrupt', `${damage.found.key}: ${damage.error.message}`)
  throw new AppError(
    'invalid',
    `The key opens none of the ${wanted.length} backups at ${location.label}: they were made for another one.`,
  )
}

function upTo(all: readonly FoundBackup[], at: string): FoundBackup[] {
  const named = all.filter(({ key }) => key === at)
  if (named.length > 0) return named
  const time = /^\d{4}-\d\d-\d\d/.test(at)
    ? new Date(at.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))
    : null
  if (time === null || Number.isNaN(time.getTime()))
    throw new AppError('invalid', '--at: write a key of the listing, or a time such as 2026-05-04T03:00:00Z')
  const older = all.filter(({ takenAt }) => takenAt.getTime() <= time.getTime())
  if (older.length === 0) throw new AppError('not-found', `There is no backup from ${at} or before it.`)
  return older
}

function damagedNewest(bad: FoundBackup, error: AppError, before: FoundBackup | undefined): AppError {
  const next =
    before === undefined
      ? 'There is none before it.'
      : `The one before it is of ${before.takenAt.toISOString()}; to restore that one:\n    glassine restore ... --at ${before.key}`
  return new AppError('corrupt', `The newest backup, ${bad.key}, can't be used: ${error.message}\n${next}`, {
    cause: error,
    details: { isChoice: true },
  })
}

/**
 * Reads all of a chosen backup from `bytes`, and writes nothing.
 * @throws AppError corrupt, which names the one that could be taken instead
 */
export async function checkChosen(
  location: Location,
  { found }: Pick<ChosenBackup, 'found'>,
  identity: string,
  bytes: AsyncIterable<Buffer> = readFound(location, found),
): Promise<void> {
  try {
    const { header } = await checkBackup(unseal(bytes, identity))
    assertAsNamed(header, found)
  } catch (error) {
    if (!isAppError(error, 'corrupt')) throw error
    const own = (await findBackups(location)).filter(
      ({ installation }) => installation === found.installation,
    )
    throw damagedNewest(found, error, own[own.findIndex(({ key }) => key === found.key) + 1])
  }
}
