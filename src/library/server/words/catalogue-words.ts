/** How the catalogue stands, in sentences for the page and the command line alike. Pure. */
import type { CatalogueStatus } from '../../catalogue/catalogue-status.ts'
import { ago, type Sentence } from '../../words.ts'

const WHAT = 'The catalogue (whose each photo is, its name, date and album)'

export function catalogueSentences(status: CatalogueStatus | null, now: Date): Sentence[] {
  if (status === null) return []
  const { newest, waitingSince, isLate } = status
  if (isLate && waitingSince !== null)
    return [
      {
        text: `${WHAT} lacks what changed since ${ago(waitingSince, now)}: see what fails or is away, in the details.`,
        tone: 'warn',
      },
    ]
  if (newest === null)
    return [{ text: 'There is no catalogue yet; the first one is written soon.', tone: 'plain' }]
  const where = newest.locations.join(' and ')
  return [
    {
      text:
        waitingSince === null
          ? `${WHAT} at ${where} holds every change.`
          : `${WHAT} at ${where} is of ${ago(newest.madeAt, now)}; what changed since then is added within minutes.`,
      tone: 'plain',
    },
  ]
}
