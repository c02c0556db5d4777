import { AppError } from '../../errors.ts'
import { type AssetArchive, assetArchive, restoreAsset } from '../../library/downloads/zip-plan.ts'
import { isUuid } from '../../uuid.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns, type Style } from '../text.ts'
import { about } from './classes.ts'

const TIERS = ['bulk', 'standard', 'expedited'] as const
type Tier = (typeof TIERS)[number]

/** Without a tier: how the original stands and what a restore means. With one: asks for it. */
export async function restoreFromCli(
  context: CliContext,
  assetId: string,
  options: { tier?: string; days: string; json?: boolean },
): Promise<ExitCode> {
  if (!isUuid(assetId)) throw new AppError('invalid', `"${assetId}" is not the id of an asset.`)
  const days = Number(options.days)
  if (!Number.isInteger(days) || days < 1 || days > 365)
    throw new AppError('invalid', '--days: write a whole number from 1 to 365.')
  const tier = options.tier as Tier | undefined
  if (tier !== undefined && !TIERS.includes(tier))
    throw new AppError('invalid', `--tier: write ${TIERS.join(' or ')}.`)
  const archive = await context.withPlacement((placement) => {
    const parts = { db: placement.db, placement }
    if (tier === undefined) return assetArchive(parts, assetId, days)
    return restoreAsset(parts, assetId, { tier, days }, null)
  })
  context.print(options.json ? JSON.stringify(archive, null, 2) : describeArchive(archive, context.style))
  return EXIT.done
}

export function describeArchive(archive: AssetArchive, style: Style): string {
  const sentence = {
    available: 'The original can be opened as it is.',
    archived: `The original (${bytes(archive.size)}) is archived in ${archive.storageClass}: it is safe, and must be restored first.`,
    restoring: `The original is being restored; it is expected by ${archive.expectedAt}.`,
    restored: `The original can be opened until ${archive.availableUntil}.`,
  }[archive.state]
  if (archive.state !== 'archived') return style.bold(sentence)
  const options = archive.options.map(({ tier, expectedMinutes, price }) => [
    `  --tier ${tier}`,
    expectedMinutes < 60 ? `${expectedMinutes} minutes` : `${expectedMinutes / 60} hours`,
    price ? `about ${about(price)} for ${archive.days} days` : 'price not known',
  ])
  return [style.bold(sentence), ...columns(options)].join('\n')
}
