/** The counter of a location where this installation only reads: it is compared, and never advanced. */
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../../errors.ts'
import { configKeyOf, type Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { isSameCounter, judgeCounter, loadCounter, readHeld } from './record.ts'

/** Another process, which may write there still, advances it meanwhile: look again. */
const MAX_LOOKS = 5

/**
 * Whether a ledger that is not this one has used the place, since this one last wrote there: then this one
 * may be an older state of it, whatever may be written there now. A place that this ledger has never written
 * to is not asked, nor the original's of a copy, whose counter goes on by right. Anywhere else, nothing is
 * done.
 * @throws AppError conflict where that is so, or was found before; `unavailable` where it can't be told now
 */
export async function assertUnmovedIfReadOnly(placement: Placement, location: Location): Promise<void> {
  if (!location.isReadOnly || location.isOfOriginal) return
  let row = await loadCounter(placement, location.id)
  for (let looks = 1; row !== null; looks += 1) {
    if (row.conflict !== null) throw movedError(location, row.conflict)
    const verdict = judgeCounter(row, await readHeld(location))
    if (verdict === 'own') return
    const again = await loadCounter(placement, location.id)
    // Some services answer with what was there a moment ago.
    if (isSameCounter(row, again) && looks > 1) throw movedError(location, verdict)
    if (looks === MAX_LOOKS)
      throw new AppError('unavailable', `the counter of ${location.label} changes all the time`)
    await sleep(placement.settings.counterDoubtMs)
    row = again
  }
}

function movedError(location: Location, conflict: 'another-ledger' | 'older-place'): AppError {
  const { id, label } = location
  const what =
    conflict === 'another-ledger'
      ? `${label} was used by another database since this one last wrote there: this may be an older backup of the database`
      : `${label} holds an older state than this database knows, or its counter was removed`
  return new AppError(
    'conflict',
    `${what}. It is read, and until you decide, nothing of the trash is removed for good, at any location. ` +
      `Take "${configKeyOf(id)}.readOnly" away, then "npx glassine storage adopt ${id}" shows what taking it over would mean.`,
    { details: { ledger: conflict, location: id } },
  )
}
