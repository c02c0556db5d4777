/** What the page says of files that belong to nothing, and of decisions about them. Pure. */
import {
  amountName,
  groupFate,
  groupName,
  keptText,
  postponedText,
  refusalText,
} from '../../../../../src/library/server/words/reconcile-words.ts'
import type { ReconcileReport } from '../../api-types.ts'
import { formatBytes, plural } from '../../format.ts'

export type Plan = ReconcileReport['locations'][number]
export type Collection = ReconcileReport['collections'][number]

export type Line = { name: string; size: string; oldest: string; fate: string }

/** One line for each kind of file. */
export function planLines({ groups, foreign }: Plan): Line[] {
  const lines = groups.map((group) => ({
    name: groupName(group),
    size: group.what === 'upload' ? 'size not known' : formatBytes(group.bytes),
    oldest: `since ${group.oldest.slice(0, 10)}`,
    fate: groupFate(group),
  }))
  if (foreign.count === 0) return lines
  const other = {
    name: `${plural(foreign.count, 'other file')}`,
    size: formatBytes(foreign.bytes),
    oldest: '',
    fate: "always stay: their names are not Glassine's",
  }
  return [...lines, other]
}

/** Of what is missing at a location; null: nothing is. */
export function missingSentence({ rowsWithoutBytes: rows }: Plan): string | null {
  if (rows.count === 0) return null
  const rest =
    rows.withoutCopy === 0 ? 'all of them have another copy' : `${rows.withoutCopy} have no other copy`
  return `${plural(rows.count, 'file')} missing or changed there; ${rest}`
}

export function refusalSentence({ refusal }: Plan): string | null {
  return refusal === null ? null : `Nothing can be removed there now. ${refusalText(refusal)}`
}

export const offerOf = (collect: { files: number; uploads: number; bytes: number }): string =>
  `${amountName(collect)} (${formatBytes(collect.bytes)})`

const DAY_MS = 24 * 3_600_000

/** How a decision stands. */
export function decisionSentence(one: Collection, label: string, now: Date): string {
  const what = `${offerOf(one)} in ${label}`
  const kept = keptText(one)
  const came = `${one.removed} removed${kept === '' ? '' : `, ${kept}`}`
  if (one.state === 'undone') return `${what}: undone${one.removed > 0 ? `, after ${came}` : ''}.`
  if (one.state === 'done') return `${what}: ${came}.`
  if (one.state === 'running') return `${what}: ${came}, ${one.waiting} to go.`
  const days = Math.max(1, Math.ceil((new Date(one.collectAfter).getTime() - now.getTime()) / DAY_MS))
  return `${what} will be removed in ${plural(days, 'day')}.`
}

/** What waits for longer than the rest, and why. */
export function waitsOf(one: Collection): string[] {
  const lines = one.postponed.map(
    ({ reason, count, until }) =>
      `${count} ${postponedText(reason)}, looked at again on ${until.slice(0, 10)}`,
  )
  return one.error === null || one.state === 'done' || one.state === 'undone'
    ? lines
    : [...lines, `Waits: ${one.error}`]
}
