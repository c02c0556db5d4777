/** What belongs to nothing, in words for page and command line. Pure. */
import type { CollectionStatus } from '../../../placement/collect/collections.ts'
import type { KeptItemReason } from '../../../placement/collect/items.ts'
import type { KeptReason } from '../../../placement/collect/judge.ts'
import type { CollectionPlan, PlanGroup, Refusal } from '../../../placement/collect/plan.ts'
import { count, plural } from '../../words.ts'

const KINDS: Readonly<Record<string, [one: string, many: string]>> = {
  original: ['original', 'originals'],
  sidecar: ['sidecar', 'sidecars'],
  thumbnail: ['thumbnail', 'thumbnails'],
  preview: ['preview', 'previews'],
  fullsize: ['large picture', 'large pictures'],
  'encoded-video': ['converted video', 'converted videos'],
  'profile-image': ['profile picture', 'profile pictures'],
  'person-face': ['face', 'faces'],
  'database-backup': ['backup of the database', 'backups of the database'],
  catalogue: ['file of a catalogue', 'files of a catalogue'],
}

/** `2 originals`, `1 unfinished upload`. */
export function groupName({ kind, what, count: value }: Pick<PlanGroup, 'kind' | 'what' | 'count'>): string {
  if (what === 'upload') return plural(value, 'unfinished upload')
  const [one, many] = KINDS[kind] ?? ['file', 'files']
  return plural(value, one, many)
}

const KEPT: Readonly<Record<KeptReason, string>> = {
  backup: 'kept: this library can be brought back from it',
  catalogue:
    'kept: a catalogue of another state of the library lies there, and may name it; run glassine catalogue adopt first',
  young: 'kept for now: too young',
  'seen-once': 'kept for now: not seen twice yet, at least a day apart',
  named: 'kept: in use by now',
  decided: 'to be removed, by a decision that waits',
  locked: 'kept for now: locked there against removal',
}

/** What becomes of a group. */
export function groupFate({ becomes, reason }: Pick<PlanGroup, 'becomes' | 'reason'>): string {
  if (reason !== null) return KEPT[reason]
  return becomes === 'compared' ? 'read first, and kept if a photo has lost this copy' : 'can be given up'
}

const REFUSALS: Readonly<Record<Refusal, string>> = {
  'read-only': 'It is read-only: nothing is removed there.',
  conflict: 'Another database has used it. Decide about that first.',
  adoption: 'It is being taken over. Come back when that has ended.',
  'never-listed': 'It was not listed yet. That happens by itself once a day, or with glassine storage check.',
  'being-listed': 'It is being listed. Come back when that has ended.',
  unsound:
    'Its last listing did not show its own marker, so it may be that of another place. The next one may be better.',
  'half-missing':
    'Its last listing left out most of the files that are known to be there, so it is not believed.',
  clock: 'The clock has jumped, so how old files are is not certain. This passes after two days.',
}

export const refusalText = (refusal: Refusal): string => REFUSALS[refusal]

const KEPT_ITEMS: Readonly<Record<KeptItemReason, string>> = {
  named: 'in use by now',
  adopted: 'became copies that photos had lost',
  'taken-over': 'kept, since the location was taken over',
  changed: 'changed meanwhile',
  hidden: 'hidden by somebody',
  unread: 'may be the last copy of a photo, and could not be read',
}

/** `3 in use by now, 1 changed meanwhile`; '' where nothing was kept. */
export function keptText({ kept }: Pick<CollectionStatus, 'kept'>): string {
  return (Object.entries(kept) as [KeptItemReason, number][])
    .map(([reason, value]) => `${count(value)} ${KEPT_ITEMS[reason]}`)
    .join(', ')
}

/** `locked there`, for what waits longer than the others. */
export function postponedText(reason: string): string {
  if (reason === 'locked') return 'locked there against removal'
  return reason === 'not-now' ? 'not to be removed now' : reason
}

/** `312 files`, `312 files and 4 unfinished uploads`. */
export function amountName({ files, uploads }: { files: number; uploads: number }): string {
  const parts = [
    ...(files > 0 || uploads === 0 ? [plural(files, 'file')] : []),
    ...(uploads > 0 ? [plural(uploads, 'unfinished upload')] : []),
  ]
  return parts.join(' and ')
}

/** Whether there is anything to tell of a location. */
export function hasStrays({ groups, foreign }: Pick<CollectionPlan, 'groups' | 'foreign'>): boolean {
  return groups.length > 0 || foreign.count > 0
}
