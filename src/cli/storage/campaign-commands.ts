import { type Command, InvalidArgumentError } from 'commander'
import type { CampaignAction } from '../../library/campaigns/act.ts'
import { KIND_KEYS } from '../../library/campaigns/campaign-plan.ts'
import type { CliContext, ExitCode } from '../context.ts'
import type { CampaignPlanOptions } from './campaign.ts'

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
  ).action(async (options: CampaignPlanOptions) =>
    end(await (await import('./campaign.ts')).estimateCampaignFromCli(context, options)),
  )
  planned(campaign.command('propose'), 'write a campaign down; nothing is looked at or moved yet').action(
    async (options: CampaignPlanOptions) =>
      end(await (await import('./campaign.ts')).proposeCampaignFromCli(context, options)),
  )
  campaign
    .command('list')
    .description('all campaigns, the newest first')
    .option('--json', 'as JSON')
    .action(async (options: Json) =>
      end(await (await import('./campaign.ts')).listCampaignsFromCli(context, options)),
    )
  campaign
    .command('show')
    .description('how a campaign stands, and what can be asked of it')
    .argument('<id>', 'of the list')
    .option('--json', 'as JSON')
    .action(async (id: string, options: Json) =>
      end(await (await import('./campaign.ts')).showCampaignFromCli(context, id, options)),
    )
  for (const action of Object.keys(WHAT) as CampaignAction[])
    campaign
      .command(action)
      .description(WHAT[action])
      .argument('<id>', 'of the list')
      .option('--json', 'as JSON')
      .action(async (id: string, options: Json) =>
        end(await (await import('./campaign.ts')).askCampaignFromCli(context, id, action, options)),
      )
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
