/**
 * Whether this installation is one that was moved or copied: it then waits before it writes, to see whether
 * the other one still uses the location. It is told by the media volume, whose name stands beside each
 * counter (`holder`).
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../../errors.ts'
import { MARKER_NAME } from '../../../storage/object-key.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { processState } from '../../process-state.ts'
import type { CounterRow, Held } from './record.ts'

type State = {
  /** The value of each location's counter in the ledger when this process first asked who advances it. */
  seen: Map<string, number>
  /** Of the locations that are waited for: the counter's token as it was first seen, when, and until when. */
  waits: Map<string, { token: string | null; since: number; endsAt: number }>
}
const stateOf = processState<State>(() => ({ seen: new Map(), waits: new Map() }))

/** By the media volume. */
const holders = new WeakMap<Location, string>()

/**
 * Names the media volume by its marker's inode and birth, which a copy of the files doesn't share and a
 * restart, a rename or another mount point leaves alone. A clone of the whole volume has the same; of that
 * the counter alone tells. To be called once that volume is confirmed.
 */
export async function identifyHolder({ local, mediaLocation }: Placement): Promise<void> {
  const { ino, birthtimeMs } = await stat(join(mediaLocation, MARKER_NAME))
  nameHolder(local, `${ino}:${Math.round(birthtimeMs)}`)
}

/** What `identifyHolder` found out, or what a test says in its place. */
export function nameHolder(local: Location, holder: string): void {
  holders.set(local, holder)
}

/**
 * Which media volume this is: another one for a copy of the installation. Empty until that volume is
 * confirmed.
 */
export function holderOf({ local }: Pick<Placement, 'local'>): string {
  return holders.get(local) ?? ''
}

/**
 * Of the media volume itself nobody needs to ask which one it is; its own counter begins before that is
 * known.
 */
export function holderFor(placement: Placement, location: Location): string {
  return location.id === placement.local.id ? 'this disk' : holderOf(placement)
}

/** The first value that this process saw is kept. */
export function noteSeen(placement: Placement, { id }: Location, { value }: CounterRow): void {
  const { seen } = stateOf(placement)
  if (!seen.has(id)) seen.set(id, value)
}

/** As if the process had just started. */
export function forgetSeen(placement: Placement): void {
  stateOf(placement).seen.clear()
}

/**
 * Whether another process of this very ledger has advanced the counter since this one first looked. To it the
 * same volume seems to be another one (mounts over the network number their files as they like). A copy has a
 * ledger of its own, where nobody advances anything before it has waited.
 */
export function isShared(placement: Placement, { id }: Location, { value }: CounterRow): boolean {
  return value > (stateOf(placement).seen.get(id) ?? Number.POSITIVE_INFINITY)
}

/**
 * This installation was moved or copied: its disk is not the one of the installation that advanced the
 * counter last. A living original advances it every ten minutes at least, so an installation that waits for
 * longer than that sees it, and a copy does not block its original. The location's own clock gives the age of
 * the counter.
 */
export function assertWaited(placement: Placement, location: Location, held: Held): void {
  const { waits } = stateOf(placement)
  const seen = waits.get(location.id)
  const now = performance.now()
  const since = seen !== undefined && seen.token === held.token ? seen.since : now
  const silentMs = Math.max(held.ageMs ?? 0, now - since)
  const waitMs = placement.settings.idleAdvanceMs * 1.1 - silentMs
  waits.set(location.id, { token: held.token, since, endsAt: now + waitMs })
  if (waitMs <= 0) return
  throw new AppError(
    'unavailable',
    `this installation was moved or copied. Before it writes to ${location.label}, it waits for ${Math.ceil(waitMs / 60_000)} min ` +
      'to see whether another one still uses it. If you have just moved it, and the old one is stopped, there is nothing to do.',
    { details: { waitMs: Math.ceil(waitMs), location: location.id } },
  )
}

/**
 * For how many milliseconds this process still leaves the location alone, as a copied or moved installation;
 * null: it does not.
 */
export function leftToWait(placement: Placement, locationId: string): number | null {
  const endsAt = stateOf(placement).waits.get(locationId)?.endsAt
  const leftMs = endsAt === undefined ? 0 : endsAt - performance.now()
  return leftMs > 0 ? leftMs : null
}
