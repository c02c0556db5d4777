/**
 * A location has one ledger at a time. Both hold a counter, a number and a random token, that they advance
 * together: the next token is committed here, put there in place of the present one (compare and replace),
 * and committed here as the present one. Whoever finds a token there that is neither the present nor the next
 * one of this ledger knows that somebody else has advanced it: this ledger is an older snapshot of itself, or
 * a copy that was started beside it. From then on nothing is written or removed there, until an administrator
 * decides (`adopt.ts`, `use-as-copy.ts`); reads go on.
 *
 * It is advanced at the first use in each process, before a write or a removal when a minute has passed,
 * after a promise without either (`due-advance.ts`), and every ten minutes while nothing happens. All
 * processes of an installation share it, for they share the ledger. What happens within that minute is not
 * seen by it: there `remove.ts` keeps the promise.
 *
 * Costs one small request in a minute with writes where the location compares and replaces at once, else
 * three, and one look in the check of every minute; nothing by the file.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CounterConflict } from '../../../database/schema.ts'
import { AppError } from '../../../errors.ts'
import { isStorageError } from '../../../storage/backend.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { finishNext, tryAdvance } from './advance.ts'
import { noteToken, tokenHeldForMs } from './confirmations.ts'
import { assertNoConflict, conflictError, recordConflict } from './conflict.ts'
import { assertWaited, holderOf, isShared, noteSeen } from './moved-installation.ts'
import {
  assertPlace,
  type CounterRow,
  type Held,
  isSameCounter,
  judgeCounter,
  loadCounter,
  markerOf,
  readHeld,
} from './record.ts'

/** Another process of ours that advances it meanwhile is no conflict: look again. */
const MAX_LOOKS = 5

/**
 * `advance`: somebody is about to write or remove. `compare`: one look, to know how it stands. `begin`: the
 * first in this process.
 */
export type Purpose = 'begin' | 'advance' | 'compare'

/**
 * Compares the counter of a location with the ledger's and advances both where that is due.
 * @returns how long before this call the comparison was that it rests on, in milliseconds: another process of
 * ours may have made it. 0: it was made now.
 * @throws AppError conflict where somebody else has advanced it, `unavailable` while a copied or moved
 * installation must wait
 */
export async function keepCounter(
  placement: Placement,
  location: Location,
  purpose: Purpose,
): Promise<number> {
  const row = await loadCounter(placement, location.id)
  if (row) assertNoConflict(location, row)
  if (row) noteSeen(placement, location, row)
  if (row) noteToken(placement, location.id, row.token)
  if (row && purpose !== 'begin' && purpose !== 'compare') {
    if (isFresh(placement, location, row)) return leastAgeMs(placement, location, row)
    if (await advanceAtOnce(placement, location, row)) return 0
  }
  const { row: known, held } = await compare(placement, location, purpose === 'begin')
  const isOurDisk = location.id === placement.local.id
  const isOurs = isOurDisk || known?.holder === holderOf(placement)
  if (known && held && !isOurs && !isShared(placement, location, known))
    assertWaited(placement, location, held)
  if (purpose === 'compare' && known && held && !isAdvanceDueNow(placement, location, known)) return 0
  await orFull(placement, location, { isOurs }, () => advance(placement, location, known, held))
  return 0
}

/** Compared and advanced by one request. False: it takes a look first. */
async function advanceAtOnce(placement: Placement, location: Location, row: CounterRow): Promise<boolean> {
  const isPossible = location.backend.features.conditionalReplace === true && row.value > 0
  if (!isPossible || row.version === null) return false
  try {
    return await tryAdvance(placement, location, row, row.version)
  } catch (error) {
    if (isStorageError(error, 'too-large')) return false
    throw error
  }
}

/**
 * What the ledger and the location hold, once they fit. @throws AppError conflict, which everybody knows from
 * then on
 */
async function compare(
  placement: Placement,
  location: Location,
  isFirst: boolean,
): Promise<{ row: CounterRow | null; held: Held | null }> {
  const marker = await markerOf(placement, location.id)
  let isDoubted = location.kind === 'disk'
  for (let looks = 1; ; looks += 1) {
    const row = await loadCounter(placement, location.id)
    const held = await readHeld(location)
    await assertPlace(location, marker, held, isFirst)
    const verdict = judgeCounter(row, held)
    if (verdict === 'own') return { row, held }
    const again = await loadCounter(placement, location.id)
    if (isSameCounter(row, again)) {
      if (isDoubted || !mayPass(verdict, row, held)) {
        await recordConflict(placement, location, again, held, verdict)
        throw conflictError(location, verdict)
      }
      isDoubted = true
      await sleep(placement.settings.counterDoubtMs)
    }
    if (looks === MAX_LOOKS)
      throw new AppError('unavailable', `the counter of ${location.label} changes all the time; trying again`)
  }
}

/**
 * Some services answer with what was there a moment ago; and another process of ours may be about to write
 * down what it has put, where a third one has drawn another token meanwhile.
 */
function mayPass(verdict: CounterConflict, row: CounterRow | null, held: Held | null): boolean {
  return verdict === 'older-place' || (row?.next_token != null && held?.value === row.value + 1)
}

/**
 * A place that is too full for 200 bytes must be able to be emptied. Where this installation has advanced the
 * counter last, having compared it is good enough meanwhile: nobody else can advance it either, and
 * `remove.ts` looks at all that goes.
 */
async function orFull(
  placement: Pick<Placement, 'log'>,
  location: Location,
  { isOurs }: { isOurs: boolean },
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (!isOurs || !isStorageError(error, 'too-large')) throw error
    placement.log.warn(
      { location: location.id, error: error.message },
      'the counter of a full location stays as it is',
    )
  }
}

/** Of a location that is used for the first time: there is nothing to compare with. */
export async function beginCounter(placement: Placement, location: Location): Promise<void> {
  await advance(placement, location, await loadCounter(placement, location.id), null)
}

function isFresh(placement: Placement, location: Location, row: CounterRow): boolean {
  const ageMs = leastAgeMs(placement, location, row)
  return ageMs < placement.settings.counterGoodForMs && row.next_token === null
}

/** While nothing is written or removed. */
function isAdvanceDueNow(placement: Placement, location: Location, row: CounterRow): boolean {
  const isIdle = leastAgeMs(placement, location, row) >= placement.settings.idleAdvanceMs
  return row.next_token !== null || isIdle || isAdvanceDue(placement, location, row)
}

/**
 * Something was promised since the last token was drawn, and that is longer ago than a comparison is good
 * for.
 */
export function isAdvanceDue(placement: Placement, location: Location, row: CounterRow): boolean {
  return row.is_advance_due && leastAgeMs(placement, location, row) >= placement.settings.counterGoodForMs
}

/**
 * A clock of the database that was set back makes an old counter young: it is as old as this process has seen
 * it for, at least.
 */
function leastAgeMs(placement: Placement, location: Location, { ageMs, token }: CounterRow): number {
  const heldForMs = tokenHeldForMs(placement, location.id, token)
  return ageMs < 0 ? Number.POSITIVE_INFINITY : Math.max(ageMs, heldForMs)
}

/** `held`: what the location holds now, and is ours. */
async function advance(
  placement: Placement,
  location: Location,
  row: CounterRow | null,
  held: Held | null,
): Promise<void> {
  const present = await finishNext(placement, location, row, held)
  if (await tryAdvance(placement, location, present, held?.version ?? null)) return
  // Another process of ours was quicker, or somebody else's.
  await compare(placement, location, false)
}
