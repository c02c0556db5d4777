import { ago, count, plural } from '../../library/words.ts'
import { knownBackups } from '../../placement/backups/backup-rows.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns } from '../text.ts'

/** The newest first, with where each is verified. */
export async function listBackups(context: CliContext, options: { json?: boolean }): Promise<ExitCode> {
  const backups = await context.withDatabase((db) => knownBackups(db))
  if (options.json) {
    const told = backups.map(
      ({ objectId, takenAt, size, rows, migration, at, elsewhere, isOfAnotherLine }) => ({
        id: objectId,
        takenAt,
        bytes: size,
        rows,
        migration,
        verifiedAt: at.map(({ locationId, verifiedAt }) => ({ location: locationId, at: verifiedAt })),
        notVerifiedAt: elsewhere,
        isOfAnotherLine,
      }),
    )
    context.print(JSON.stringify({ backups: told }, null, 2))
    return EXIT.done
  }
  if (backups.length === 0) {
    context.print('There is no backup yet. glassine backup now makes one.')
    return EXIT.done
  }
  const { style } = context
  const now = new Date()
  const rows = backups.map(({ takenAt, rows, size, at, elsewhere, isOfAnotherLine }) => {
    const places = [
      ...at.map(({ locationId }) => `■ ${locationId}`),
      ...elsewhere.map((locationId) => style.amber(`▨ ${locationId}`)),
    ]
    return [
      `${takenAt.toISOString().replace(/\.\d+Z/, 'Z')}${isOfAnotherLine ? ' *' : ''}`,
      ago(takenAt.toISOString(), now),
      count(rows),
      bytes(size),
      places.length === 0 ? style.red('nowhere') : places.join('  '),
    ]
  })
  const header = ['taken at (UTC)', '', 'rows', 'size', 'where (■ verified)'].map(style.dim)
  const remark = [
    '',
    '* found at a location, and from after the backup that this database was restored from. It holds what this',
    '  database has never known, counts for nothing here, and is never removed by itself.',
  ]
  context.print(
    [
      style.bold(`${plural(backups.length, 'backup')}.`),
      '',
      ...columns([header, ...rows], [2, 3]),
      ...(backups.some(({ isOfAnotherLine }) => isOfAnotherLine) ? remark : []),
    ].join('\n'),
  )
  return EXIT.done
}
