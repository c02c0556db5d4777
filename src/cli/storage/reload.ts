import { silentLog } from '../../log.ts'
import { askToReload, type ReloadAnswer } from '../../queue/worker/reload-requests.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import type { Style } from '../text.ts'

/** A process that opens new locations looks at each for 10 s at most. */
const PATIENCE_MS = 30_000

/** Has all processes of the installation read their configuration again, and says what each made of it. */
export async function reloadFromCli(context: CliContext, options: { json?: boolean }): Promise<ExitCode> {
  const answers = await context.withDatabase((db, _config, pool) =>
    askToReload({ db, pool, log: silentLog }, PATIENCE_MS),
  )
  if (options.json) context.print(JSON.stringify(answers, null, 2))
  else if (answers.length === 0)
    context.print('No process is running: the configuration is read at the next start.')
  else context.print(answers.map((answer) => describeReload(answer, context.style)).join('\n'))
  if (answers.some(({ outcome }) => outcome?.isReloaded !== true)) return EXIT.failed
  const isFine = ({ outcome }: ReloadAnswer) =>
    outcome?.troubles.length === 0 && outcome.needsRestart.length === 0
  return answers.every(isFine) ? EXIT.done : EXIT.attention
}

export function describeReload({ process, outcome }: ReloadAnswer, style: Style): string {
  if (outcome === null) return style.red(`${process}: no answer`)
  if (!outcome.isReloaded)
    return style.red(`${process}: the configuration stays as it was. ${outcome.problem}`)
  const { added, changed, removed, troubles, needsRestart } = outcome
  const what = [
    ...(added.length > 0 ? [`added ${added.join(', ')}`] : []),
    ...(changed.length > 0 ? [`opened ${changed.join(', ')} anew`] : []),
    ...(removed.length > 0 ? [`left ${removed.join(', ')}`] : []),
  ]
  return [
    `${process}: the configuration was read again${what.length > 0 ? `: ${what.join('; ')}` : '; the locations are as before'}.`,
    ...troubles.map(({ location, problem }) => style.amber(`  ${location} is not usable yet: ${problem}`)),
    ...(needsRestart.length > 0
      ? [style.amber(`  These take effect after a restart only: ${needsRestart.join(', ')}.`)]
      : []),
  ].join('\n')
}
