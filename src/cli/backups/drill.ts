import { assertRecipient } from '../../database/backups/installation.ts'
import { loadBackup } from '../../database/backups/load-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { migrate } from '../../database/migrate.ts'
import { countWhatComesBack, type DrillReport } from '../../library/catalogue/adoption/drill.ts'
import { count, plural } from '../../library/words.ts'
import { silentLog } from '../../log.ts'
import { chooseBackup } from '../../placement/backups/choose-backup.ts'
import { readFound } from '../../placement/backups/found-backups.ts'
import { saveDrill } from '../../placement/catalogue/adoption-state.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { JOBS_SECTION } from '../../queue/backup-jobs.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { askForKey } from './restore.ts'

/**
 * Restores the newest backup into a database that is removed afterwards, and tells what would come back if
 * this machine were lost now. Nothing of the installation is touched, and nothing is written at a location.
 */
export async function drillRestore(
  context: CliContext,
  options: { from: string; at?: string; keyFile?: string },
): Promise<ExitCode> {
  return context.withoutLedger(async ({ config, locations, withScratch }) => {
    const location = requireLocation({ locations }, options.from)
    const begunAt = performance.now()
    const key = await askForKey(context, config, options.keyFile)
    const chosen = await chooseBackup(location, key.identity, options.at)
    // What lies on this disk would be lost with it.
    const places = [...locations.values()].filter(({ id }) => id !== 'local')
    const onProgress = (text: string) => context.progress(text)
    const report = await withScratch(async ({ pool, db }, own): Promise<DrillReport> => {
      await loadBackup(pool, unseal(readFound(location, chosen.found), key.identity), {
        sections: [JOBS_SECTION],
        onTable: (name) => onProgress(`restoring ${name}`),
        beforeCommit: (client) => assertRecipient(client, key.recipient),
      })
      await migrate(pool, silentLog)
      const counted = await countWhatComesBack(db, places, { onProgress })
      const told = {
        at: new Date().toISOString(),
        backup: { key: chosen.found.key, takenAt: chosen.header.takenAt },
        seconds: Math.round((performance.now() - begunAt) / 100) / 10,
        ...counted,
      }
      await saveDrill(own, told)
      return told
    })
    context.progress('')
    context.print(describeDrill(report).join('\n'))
    return isGood(report) ? EXIT.done : EXIT.attention
  })
}

/** Whether nothing would be lost, as far as the drill can tell. */
export function isGood({ assets, found, later }: Pick<DrillReport, 'assets' | 'found' | 'later'>): boolean {
  const isAllRead = later.unusable.length === 0 && later.refused.count === 0
  return found === assets && later.missing === 0 && isAllRead
}

function describeDrill(report: DrillReport): string[] {
  const { backup, seconds, users, albums, assets, found, later } = report
  const lines = [
    `The backup of ${backup.takenAt} was restored into a database of its own in ${seconds} s, and removed again.`,
    `It brings back ${plural(users, 'user')}, ${plural(albums, 'album')} and ${plural(assets, 'asset')}; the originals of ${count(found)} are at a location other than this disk.`,
  ]
  if (found < assets)
    lines.push(`With this disk, ${plural(assets - found, 'original')} of the backup would be lost.`)
  lines.push(
    `From after it, the catalogue and the keys bring back ${plural(later.assets, 'asset')}, ${plural(later.users, 'user')} and ${plural(later.albums, 'album')}.`,
  )
  if (later.missing > 0)
    lines.push(
      `${plural(later.missing, 'asset')} of the catalogue would be lost: on no other location than this disk.`,
    )
  if (later.deletedLater > 0)
    lines.push(
      `${plural(later.deletedLater, 'asset')} that were deleted after the backup would be kept until you decide.`,
    )
  for (const { location, key, reason } of later.unusable) lines.push(`${location}: ${key}: ${reason}`)
  return lines
}
