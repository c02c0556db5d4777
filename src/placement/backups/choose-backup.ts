/** Which of the backups at a location is restored. */
import type { BackupHeader } from '../../database/backups/format.ts'
import { checkBackup } from '../../database/backups/read-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { AppError, isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'
import type { Location } from '../location.ts'
import {
  assertAsNamed,
  type FoundBackup,
  findBackups,
  isNamedAhead,
  peekAt,
  readFound,
  TIMES_SLACK_MS,
  toldTime,
} from './found-backups.ts'

/** `ofAll`: how many the location holds of this installation. */
export type ChosenBackup = { found: FoundBackup; header: BackupHeader; ofAll: number }

/**
 * The newest one that the key opens, or the one that was asked for. One that is damaged, archived or hidden
 * is never passed over in silence, and one of which nobody can tell whether it is the newest is never taken
 * for it: who restores an older one must have said so.
 */
export async function chooseBackup(
  location: Location,
  identity: string,
  at: string | undefined,
  now: Date = new Date(),
): Promise<ChosenBackup> {
  const all = await findBackups(location)
  if (all.length === 0)
    throw new AppError('not-found', `There is no backup at ${location.label}: nothing lies under backups/.`)
  const wanted = at === undefined ? all : upTo(all, at)
  const failed: Failed[] = []
  for (const found of wanted) {
    const header = await peekOrFail(location, found, identity)
    if (header instanceof AppError) {
      failed.push({ found, error: header })
      continue
    }
    const isOwn = (one: FoundBackup) => one.installation === found.installation
    const own = failed.filter((one) => isOwn(one.found))
    if (own[0] !== undefined) throw unusableNewest(own, found)
    const siblings = all.filter(isOwn)
    const doubt = at === undefined ? doubtOf(found, siblings, now) : null
    if (doubt !== null) throw new AppError('conflict', doubt)
    return { found, header, ofAll: siblings.length }
  }
  const damage = failed.find(({ error }) => error.code === 'corrupt')
  if (damage !== undefined) throw new AppError('corrupt', `${damage.found.key}: ${damage.error.message}`)
  const archived = failed.filter(({ error }) => error.code === 'archived')
  if (archived.length > 0)
    throw new AppError(
      'archived',
      `No backup at ${location.label} can be read now. ${aboutArchived(archived)}`,
    )
  const hidden = failed.filter(({ error }) => error.code === 'conflict')
  if (hidden.length > 0)
    throw new AppError('conflict', `No backup at ${location.label} can be read now. ${aboutHidden(hidden)}`)
  throw new AppError(
    'invalid',
    `The key opens none of the ${wanted.length} backups at ${location.label}: they were made for another one, or their beginnings are damaged.`,
  )
}

type Failed = { found: FoundBackup; error: AppError }

/** Errors that say something of the place, and not of this one backup, are thrown. */
async function peekOrFail(
  location: Location,
  found: FoundBackup,
  identity: string,
): Promise<BackupHeader | AppError> {
  if (found.isHidden) return new AppError('conflict', 'a delete marker hides it')
  try {
    return await peekAt(location, found, identity)
  } catch (error) {
    if (isStorageError(error, 'archived')) return new AppError('archived', 'it is archived', { cause: error })
    if (isAppError(error, 'invalid') || isAppError(error, 'corrupt')) return error
    throw error
  }
}

/** A backup that arrived so much later than its time, by the clocks, waited long or has a false time. */
const MUCH_LATER_MS = 7 * 24 * 3_600_000

/**
 * Why the first of these can't be called the newest, with what there is instead; null: it is the newest by
 * its own time and by that of the location.
 */
function doubtOf(first: FoundBackup, all: readonly FoundBackup[], now: Date): string | null {
  const isFuture = (one: FoundBackup) => one.takenAt.getTime() > now.getTime() + TIMES_SLACK_MS
  const isWrong = (one: FoundBackup) => isFuture(one) || isNamedAhead(one)
  if (isWrong(first)) {
    const right = all.find((one) => !isWrong(one))
    return [
      `The newest backup, ${timesOf(first)}, has a time of a clock that was wrong${isFuture(first) ? ' (or the clock of this machine is)' : ''}. Look at the times, and choose:`,
      chooseLine(first),
      right === undefined
        ? 'There is no other one with a time that can be right.'
        : `The newest one with a time that can be right, ${timesOf(right)}:`,
      ...(right === undefined ? [] : [chooseLine(right)]),
    ].join('\n')
  }
  // Moved to another class by its rule, an old one has a new time at the location. That is no sign of
  // anything.
  const arrivedLater = all
    .filter(
      (one) =>
        one.storedAt.getTime() > first.storedAt.getTime() &&
        one.storedAt.getTime() > one.takenAt.getTime() + MUCH_LATER_MS &&
        one.storageClass === first.storageClass,
    )
    .sort((a, b) => b.storedAt.getTime() - a.storedAt.getTime())[0]
  if (arrivedLater === undefined) return null
  return [
    `The newest backup by its time, ${timesOf(first)}, is not the one that arrived last: that is ${timesOf(arrivedLater)}. One of the two was made while a clock was wrong, or the files were copied. Look at the times, and choose:`,
    chooseLine(arrivedLater),
    chooseLine(first),
  ].join('\n')
}

function timesOf({ key, takenAt, storedAt }: FoundBackup): string {
  return `${key} (made at ${takenAt.toISOString()} by its name, and stored at ${storedAt.toISOString()} by the clock of the location)`
}

const chooseLine = ({ key }: FoundBackup) => `    glassine restore ... --at ${key}`

function upTo(all: readonly FoundBackup[], at: string): FoundBackup[] {
  const named = all.filter(({ key }) => key === at)
  if (named.length > 0) return named
  const time = /^\d{4}-\d\d-\d\d/.test(at)
    ? new Date(at.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))
    : null
  if (time === null || Number.isNaN(time.getTime()))
    throw new AppError('invalid', '--at: write a key of the listing, or a time such as 2026-05-04T03:00:00Z')
  const older = all.filter((one) => toldTime(one) <= time.getTime())
  if (older.length === 0) throw new AppError('not-found', `There is no backup from ${at} or before it.`)
  return older
}

function unusableNewest(failed: readonly Failed[], before: FoundBackup | undefined): AppError {
  const [first] = failed
  const { found: bad, error } = first!
  const archived = failed.filter((one) => one.error.code === 'archived')
  const hidden = failed.filter((one) => one.error.code === 'conflict')
  const next =
    before === undefined
      ? 'There is none before it.'
      : `The newest one that can be read is of ${before.takenAt.toISOString()}; to restore that one:\n${chooseLine(before)}`
  const text = [
    `The newest backup, ${bad.key}, can't be used: ${error.message.replace(/\.?$/, '.')}`,
    ...(archived.length > 0 ? [aboutArchived(archived)] : []),
    ...(hidden.length > 0 ? [aboutHidden(hidden)] : []),
    next,
  ].join('\n')
  const code = error.code === 'archived' || error.code === 'conflict' ? error.code : 'corrupt'
  return new AppError(code, text, { cause: error })
}

function aboutArchived(archived: readonly Failed[]): string {
  const named = archived.map(
    ({ found: { key, storageClass } }) => `    ${key}${storageClass === null ? '' : ` (${storageClass})`}`,
  )
  return [
    'Archived, and not readable before they are restored (in the console of the provider: choose the object, "Initiate restore" or the like, and wait; it takes from minutes to two days; then run this command again):',
    ...named,
  ].join('\n')
}

function aboutHidden(hidden: readonly Failed[]): string {
  return [
    'Somebody has deleted these in a bucket with Object Lock; they are there still. Remove the delete marker of each one that you want (in the console of the provider: show versions, and delete the marker alone), then run this command again:',
    ...hidden.map(({ found: { key } }) => `    ${key}`),
  ].join('\n')
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
    throw unusableNewest([{ found, error }], own[own.findIndex(({ key }) => key === found.key) + 1])
  }
}
