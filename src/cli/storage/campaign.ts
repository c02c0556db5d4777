import { type Command, InvalidArgumentError } from 'commander'
import { askCampaign, CAMPAIGN_ACTIONS, type CampaignAction } from '../../library/campaigns/act.ts'
import { KIND_KEYS, planOf, usersByEmail } from '../../library/campaigns/campaign-plan.ts'
import { campaignReach } from '../../library/campaigns/campaign-reach.ts'
import { campaignSentences, estimateSentences } from '../../library/campaigns/campaign-words.ts'
import type { Sentence } from '../../library/words.ts'
import { proposeCampaign } from '../../placement/migration/actions.ts'
import type { CampaignPlan } from '../../placement/migration/campaign-rows.ts'
import {
  type CampaignStatus,
  campaignStatus,
  campaignStatuses,
} from '../../placement/migration/campaign-status.ts'
import { estimateCampaign } from '../../placement/migration/estimate.ts'
import type { Placement } from '../../placement/placement.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns } from '../text.ts'

const ACTOR = 'command line'
const WHAT: Record<CampaignAction, string> = {
  check: 'look at every file: would it move, and if not, why (dry run)',
  rehearse: 'copy, prove and take back a hundredth of the files, at most 50',
  start: 'copy and prove all files, and read them from the new place; the old copies are kept',
  retry: 'try those again that failed, and no others',
  reclaim: 'give the old copies up, after a look at the new ones',
  rollback: 'back to the old copies, after a look at them; after reclaim, a campaign in the other direction',
  pause: 'end what is under way, and begin nothing',
  resume: 'go on',
  cancel: 'withdraw a campaign that has not begun to copy',
}

type PlanOptions = {
  kind: string[]
  from: string[]
  to: string[]
  user?: string[]
  album?: string[]
  olderThan?: number
  youngerThan?: number
  rate?: number
  between?: string
  workers?: number
  holdHours?: number
  json?: boolean
}
type Json = { json?: boolean }

/** `glassine campaign …`; `end` is told how a command ended. */
export function addCampaignCommands(
  program: Command,
  context: CliContext,
  end: (code: ExitCode) => void,
): void {
  const campaign = program
    .command('campaign')
    .description('move files of chosen kinds, users, albums or ages from some locations to others')
    .helpCommand(false)

  planned(
    campaign.command('estimate'),
    'count what would move, and about what it costs; nothing is written',
  ).action(async (options: PlanOptions) => end(await estimateFromCli(context, options)))
  planned(campaign.command('propose'), 'write a campaign down; nothing is looked at or moved yet').action(
    async (options: PlanOptions) => end(await proposeFromCli(context, options)),
  )
  campaign
    .command('list')
    .description('all campaigns, the newest first')
    .option('--json', 'as JSON')
    .action(async (options: Json) => end(await listFromCli(context, options)))
  campaign
    .command('show')
    .description('how a campaign stands, and what can be asked of it')
    .argument('<id>', 'of the list')
    .option('--json', 'as JSON')
    .action(async (id: string, options: Json) => end(await showFromCli(context, id, options)))
  for (const action of CAMPAIGN_ACTIONS)
    campaign
      .command(action)
      .description(WHAT[action])
      .argument('<id>', 'of the list')
      .option('--json', 'as JSON')
      .action(async (id: string, options: Json) => end(await askFromCli(context, id, action, options)))
}

function planned(command: Command, description: string): Command {
  const several = (value: string, before: string[] = []) => [...before, value]
  return command
    .description(description)
    .requiredOption('--kind <kind>', `of these kinds, may be repeated: ${KIND_KEYS.join(', ')}`, several)
    .option(
      '--from <location>',
      'where it leaves, may be repeated; absent: it gets one more copy',
      several,
      [],
    )
    .requiredOption('--to <location>', 'where it belongs then, may be repeated', several)
    .option('--user <e-mail>', 'only of this user, may be repeated', several)
    .option('--album <id>', 'only in this album, may be repeated', several)
    .option('--older-than <days>', 'only what was added so long ago', wholeNumber)
    .option('--younger-than <days>', 'only what was added since then', wholeNumber)
    .option('--rate <bytes>', 'no more bytes a second', wholeNumber)
    .option('--between <hours>', 'only at this time of the day, such as 22:00-06:00')
    .option('--workers <number>', 'so many at a time, 1 to 4', wholeNumber)
    .option('--hold-hours <hours>', 'both copies are kept so long at least', wholeNumber)
    .option('--json', 'as JSON')
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('write a whole number')
  return Number(text)
}

async function planFrom(placement: Placement, options: PlanOptions): Promise<CampaignPlan> {
  const [from = '', until = ''] = options.between?.split('-') ?? []
  return planOf({
    kinds: options.kind,
    from: options.from,
    to: options.to,
    users: options.user ? await usersByEmail(placement.db, options.user) : null,
    albums: options.album,
    olderThanDays: options.olderThan,
    youngerThanDays: options.youngerThan,
    limits: {
      bytesPerSecond: options.rate,
      hours: options.between === undefined ? null : { from, until },
      workers: options.workers,
      holdHours: options.holdHours,
    },
  })
}

async function estimateFromCli(context: CliContext, options: PlanOptions): Promise<ExitCode> {
  const estimate = await context.withPlacement(async (placement) =>
    estimateCampaign(placement, await planFrom(placement, options), await campaignReach(placement)),
  )
  if (options.json) context.print(JSON.stringify(estimate, null, 2))
  else print(context, estimateSentences(estimate, { bytes }))
  return estimate.space.every(({ isEnough }) => isEnough) ? EXIT.done : EXIT.attention
}

async function proposeFromCli(context: CliContext, options: PlanOptions): Promise<ExitCode> {
  const status = await context.withPlacement(async (placement) => {
    const plan = await planFrom(placement, options)
    const id = await proposeCampaign(placement, plan, { actor: ACTOR, reason: 'asked' })
    return campaignStatus(placement, id)
  })
  return printStatus(context, status, options)
}

async function listFromCli(context: CliContext, { json = false }: Json): Promise<ExitCode> {
  const all = await context.withPlacement(campaignStatuses)
  if (json) context.print(JSON.stringify(all, null, 2))
  else if (all.length === 0) context.print('There are no campaigns.')
  else
    context.print(
      columns(
        all.map(({ id, phase, fromIds, toIds, createdAt, pausedAt }) => [
          id,
          pausedAt === null ? phase : `${phase}, paused`,
          `${fromIds.join(', ') || 'anywhere'} -> ${toIds.join(', ')}`,
          createdAt,
        ]),
      ).join('\n'),
    )
  return EXIT.done
}

async function showFromCli(context: CliContext, id: string, options: Json): Promise<ExitCode> {
  return printStatus(
    context,
    await context.withPlacement((placement) => campaignStatus(placement, id)),
    options,
  )
}

async function askFromCli(
  context: CliContext,
  id: string,
  action: CampaignAction,
  options: Json,
): Promise<ExitCode> {
  const status = await context.withPlacement(async (placement) => {
    await askCampaign(placement, id, action, ACTOR)
    return campaignStatus(placement, id)
  })
  return printStatus(context, status, options)
}

function printStatus(context: CliContext, status: CampaignStatus, { json = false }: Json): ExitCode {
  const sentences = campaignSentences(status, { bytes })
  if (json) context.print(JSON.stringify(status, null, 2))
  else {
    context.print(
      `Campaign ${status.id}, ${status.fromIds.join(', ') || 'anywhere'} -> ${status.toIds.join(', ')}`,
    )
    print(context, sentences)
    if (status.isRunning)
      context.print(`The servers and workers do it: npx glassine campaign show ${status.id}`)
  }
  return sentences.some(({ tone }) => tone === 'warn') ? EXIT.attention : EXIT.done
}

function print(context: CliContext, sentences: readonly Sentence[]): void {
  for (const { text, tone } of sentences) context.print(tone === 'warn' ? context.style.amber(text) : text)
}
