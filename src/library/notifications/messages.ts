/** What people are told, in words. Pure. */
import { plural } from '../words.ts'

export type AlertKind = 'photo-at-risk' | 'late-backup' | 'location-away' | 'fewer-copies' | 'unhealed'
export type AlertState = 'opened' | 'closed'
export type Level = 'success' | 'error' | 'warning' | 'info'

/** `kind`, `state`: for programs. */
export type Message = {
  kind: AlertKind | 'test'
  state: AlertState
  level: Level
  title: string
  text: string
}

/** What is known of a condition when it is found: fields that its kind has no use for are absent. */
export type AlertFacts = { label?: string; error?: string | null; count?: number; days?: number }

type Words = Pick<Message, 'title' | 'text'>

const OPENED: Record<Exclude<AlertKind, 'photo-at-risk'>, (facts: AlertFacts) => Words> = {
  'late-backup': ({ days = 0 }) => ({
    title: `No backup for ${plural(days, 'day')}`,
    text: `There has been no good backup of the database for ${plural(days, 'day')}. If this machine died, albums, favourites and whose each photo is would be lost as far as they are newer. The storage page says why.`,
  }),
  'location-away': ({ label = '', error }) => ({
    title: 'A storage location has been away for long',
    text: `${label} has not worked for a day or longer${error ? `: ${error}` : '.'} New photos have no copy there until it is back.`,
  }),
  'fewer-copies': ({ count = 0 }) => ({
    title: `${plural(count, 'photo')} with fewer copies than asked for`,
    text: `${plural(count, 'photo or video', 'photos and videos')} ${count === 1 ? 'has' : 'have'} had fewer copies than asked for, for a day or longer. The storage page says what fails.`,
  }),
  unhealed: ({ label = '', count = 0 }) => ({
    title: `${plural(count, 'damaged file')} could not be repaired`,
    text: `${plural(count, 'file')} at ${label} ${count === 1 ? 'was' : 'were'} found damaged or missing, and could not be made anew for a day or longer. The storage page says what fails.`,
  }),
}

const CLOSED: Record<Exclude<AlertKind, 'photo-at-risk'>, (facts: AlertFacts) => Words> = {
  'late-backup': () => ({ title: 'There is a good backup again', text: 'The database is backed up again.' }),
  'location-away': ({ label = '' }) => ({
    title: 'A storage location is back',
    text: `${label} works again, or nothing belongs there any more. What it missed is copied by itself.`,
  }),
  'fewer-copies': () => ({
    title: 'All photos have their copies again',
    text: 'No photo or video has fewer copies than asked for any more.',
  }),
  unhealed: ({ label = '' }) => ({
    title: 'Damaged files are repaired',
    text: `All files at ${label} that were found damaged or missing were made anew, or are no longer needed.`,
  }),
}

/** For administrators. */
export function alertMessage(
  kind: Exclude<AlertKind, 'photo-at-risk'>,
  state: AlertState,
  facts: AlertFacts,
): Message {
  const words = (state === 'opened' ? OPENED : CLOSED)[kind](facts)
  return { kind, state, level: state === 'opened' ? 'warning' : 'success', ...words }
}

/** For administrators: how many, and whose they are is for the owners to know. */
export function photosMessage(state: AlertState, count: number): Message {
  const photos = plural(count, 'photo')
  return state === 'opened'
    ? {
        kind: 'photo-at-risk',
        state,
        level: 'error',
        title: `${photos} at risk`,
        text: `The last good copy of ${plural(count, 'photo or video', 'photos and videos')} was found damaged or missing. Whoever owns ${count === 1 ? 'it' : 'them'} is told which ${count === 1 ? 'one it is' : 'ones they are'}.`,
      }
    : {
        kind: 'photo-at-risk',
        state,
        level: 'success',
        title: `${photos} safe again`,
        text: `There is a good copy again of ${plural(count, 'photo or video', 'photos and videos')} that ${count === 1 ? 'was' : 'were'} at risk.`,
      }
}

/** For the owner. `names`: of some of them, at least of one. */
export function ownPhotosMessage(state: AlertState, count: number, names: readonly string[]): Message {
  const which = listOf(names, count)
  const are = count === 1 ? 'is' : 'are'
  return state === 'opened'
    ? {
        kind: 'photo-at-risk',
        state,
        level: 'error',
        title:
          count === 1 ? 'One of your photos is at risk' : `${plural(count, 'photo')} of yours are at risk`,
        text: `The last good copy of ${which} was found damaged or missing. If you still have ${count === 1 ? 'it, upload it' : 'them, upload them'} again: the photo in your library is repaired by that.`,
      }
    : {
        kind: 'photo-at-risk',
        state,
        level: 'success',
        title:
          count === 1
            ? 'One of your photos is safe again'
            : `${plural(count, 'photo')} of yours are safe again`,
        text: `${which} ${are} no longer at risk: there is a good copy again.`,
      }
}

export const TEST_MESSAGE: Message = {
  kind: 'test',
  state: 'opened',
  level: 'info',
  title: 'A test message',
  text: 'Messages of Glassine arrive here. Nothing is wrong: somebody ran glassine notifications test.',
}

/** `one.jpg, two.jpg and 10 more`. */
function listOf(names: readonly string[], count: number): string {
  const more = count - names.length
  if (more > 0) return `${names.join(', ')} and ${more.toLocaleString('en-US')} more`
  return names.length === 1 ? names[0]! : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
