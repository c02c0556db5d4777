/** What is said of a campaign, for the command line and the page alike. Pure. */
import type { CampaignStatus } from '../../placement/migration/campaign-status.ts'
import type { Estimate } from '../../placement/migration/estimate.ts'
import type { Price } from '../../placement/storage-prices.ts'
import { duration, plural, type Sentence } from '../words.ts'

type Units = { bytes(count: number): string }
const plain = (text: string): Sentence => ({ text, tone: 'plain' })
const warn = (text: string): Sentence => ({ text, tone: 'warn' })
const files = (count: number) => plural(count, 'file')

/** `1.25 USD`, `less than 0.01 USD`. */
function money({ amount, currency }: Price): string {
  return amount > 0 && amount < 0.005 ? `less than 0.01 ${currency}` : `${amount.toFixed(2)} ${currency}`
}

export function estimateSentences(estimate: Estimate, { bytes }: Units): Sentence[] {
  const sentences = [plain(`${files(estimate.count)} would move, ${bytes(estimate.bytes)}.`)]
  for (const { locationId, count, bytes: read, price } of estimate.reads)
    sentences.push(
      plain(
        `${locationId}: ${plural(count, 'read')}, ${bytes(read)}${price ? `, about ${money(price)}` : ''}.`,
      ),
    )
  for (const { locationId, count, bytes: put, requests, readBackBytes, price } of estimate.puts) {
    const back = readBackBytes > 0 ? ` All of it is read back, since the place tells no digest.` : ''
    const text = `${locationId}: ${plural(count, 'new copy', 'new copies')}, ${bytes(put)}, ${plural(requests, 'request')}${price ? `, about ${money(price)}` : ''}.${back}`
    sentences.push(plain(text))
  }
  const monthly = (which: Estimate['monthlyBefore']) =>
    which.flatMap(({ locationId, price }) => (price ? [`${money(price)} at ${locationId}`] : [])).join(', ')
  if (monthly(estimate.monthlyBefore) !== '')
    sentences.push(plain(`A month of it costs now: ${monthly(estimate.monthlyBefore)}.`))
  if (monthly(estimate.monthlyAfter) !== '')
    sentences.push(plain(`After reclaim: ${monthly(estimate.monthlyAfter)}.`))
  for (const { locationId, neededBytes, freeBytes, isEnough } of estimate.space)
    sentences.push(
      (isEnough ? plain : warn)(
        `${locationId} needs ${bytes(neededBytes)} and has ${bytes(freeBytes)} free.`,
      ),
    )
  sentences.push(
    plain(
      estimate.seconds === null
        ? 'How long it takes is known after a rehearsal.'
        : `It takes about ${duration(estimate.seconds)}, by what the last rehearsal has measured.`,
    ),
  )
  return sentences
}

const PHASES: Record<CampaignStatus['phase'], string> = {
  proposed: 'Proposed; nothing was looked at yet. Next: check.',
  checking: 'Every file is looked at.',
  checked: 'Every file was looked at. Next: rehearse.',
  rehearsing: 'Some files are copied, proven and taken back.',
  rehearsed: 'The rehearsal went well. Next: start.',
  copying: 'Files are copied and proven.',
  holding:
    'Copied files are read from the new place, and the old copies are kept. Next: reclaim, or rollback.',
  reclaiming: 'Old copies are given up.',
  'rolling-back': 'Files go back to where they were.',
  done: 'Done: the old copies are gone. A rollback is a campaign in the other direction.',
  'rolled-back': 'Rolled back.',
  cancelled: 'Cancelled.',
}

/** Why objects are unfit, failed or kept. */
const CAUSES: Record<string, string> = {
  'not-there': 'belong elsewhere by now',
  'no-verified-copy': 'have no verified copy to copy from',
  archived: 'are archived: restore them first',
  'too-few-copies': 'would have fewer copies than storage.minCopies asks for',
  'in-another-campaign': 'are part of another campaign',
  'source-read-only': 'lie at a read-only location, where nothing can leave',
  'too-large': 'are too large for the new place',
  deleted: 'were deleted',
  denied: 'were refused: permissions are missing',
  unavailable: 'could not be moved, for a place did not answer',
  'storage-full': 'had no room at the new place',
  corrupt: 'could not be proven',
  'new-copy-wrong': 'keep the old copy, for the new one was not right; it is made anew',
  'old-copy-wrong': 'keep the new copy, for the old one was not right; it is made anew',
  'not-given-up': 'keep the old copy, which could not be given up',
}

export function campaignSentences(status: CampaignStatus, { bytes }: Units): Sentence[] {
  const { phase, states, progress, samples, causes, pausedAt, pausedWhy, holdUntil, reclaim, reverseId } =
    status
  const sentences = [plain(PHASES[phase])]
  if (pausedAt !== null)
    sentences.push(
      pausedWhy === null
        ? plain('It is paused.')
        : warn(`It stopped: one file after the other failed (${pausedWhy}).`),
    )
  if (phase === 'checked' || phase === 'rehearsed') {
    const { count, bytes: size } = states.pending ?? { count: 0, bytes: 0 }
    sentences.push(plain(`${files(count)} would move, ${bytes(size)}.`))
  }
  if (phase === 'rehearsing') sentences.push(plain(`${samples.done} of ${files(samples.wanted)} so far.`))
  if (progress !== null) {
    const { doneBytes, totalBytes, bytesPerSecond, secondsLeft } = progress
    const rate = bytesPerSecond === null ? '' : `, ${bytes(bytesPerSecond)} a second`
    const left = secondsLeft === null ? '' : `, about ${duration(secondsLeft)} left`
    sentences.push(plain(`${bytes(doneBytes)} of ${bytes(totalBytes)}${rate}${left}.`))
  }
  if (phase === 'holding') {
    const { frees, keeps } = reclaim
    sentences.push(
      plain(
        `Reclaim frees ${bytes(frees.bytes)} (${files(frees.count)}) and keeps ${bytes(keeps.bytes)} (${files(keeps.count)}).`,
      ),
    )
    if (holdUntil !== null) sentences.push(plain(`It is possible from ${holdUntil} on.`))
  }
  for (const { state, cause, count } of causes) {
    const text = `${files(count)} ${CAUSES[cause] ?? `failed: ${cause}`}.`
    if (state !== 'gone') sentences.push(warn(text))
  }
  if (reverseId !== null) sentences.push(plain(`Its files come back by the campaign ${reverseId}.`))
  return sentences
}
