import { askCampaign, type CampaignAction } from '../../library/campaigns/act.ts'
import { planOf, usersByEmail } from '../../library/campaigns/campaign-plan.ts'
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

export type CampaignPlanOptions = {
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

async function planFrom(placement: Placement, options: CampaignPlanOptions): Promise<CampaignPlan> {
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

export async function estimateCampaignFromCli(
  context: CliContext,
  options: CampaignPlanOptions,
): Promise<ExitCode> {
  const estimate = await context.withPlacement(async (placement) =>
    estimateCampaign(placement, await planFrom(placement, options), await campaignReach(placement)),
  )
  if (options.json) context.print(JSON.stringify(estimate, null, 2))
  else print(context, estimateSentences(estimate, { bytes }))
  return estimate.space.every(({ isEnough }) => isEnough) ? EXIT.done : EXIT.attention
}

export async function proposeCampaignFromCli(
  context: CliContext,
  options: CampaignPlanOptions,
): Promise<ExitCode> {
  const status = await context.withPlacement(async (placement) => {
    const plan = await planFrom(placement, options)
    const id = await proposeCampaign(placement, plan, { actor: ACTOR, reason: 'asked' })
    return campaignStatus(placement, id)
  })
  return printStatus(context, status, options)
}

export async function listCampaignsFromCli(context: CliContext, { json = false }: Json): Promise<ExitCode> {
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

export async function showCampaignFromCli(context: CliContext, id: string, options: Json): Promise<ExitCode> {
  return printStatus(
    context,
    await context.withPlacement((placement) => campaignStatus(placement, id)),
    options,
  )
}

export async function askCampaignFromCli(
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
