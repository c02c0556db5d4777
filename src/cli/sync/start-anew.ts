import { requireResetOfAll } from '../../library/sync/checkpoints.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

/** Nothing is lost by it: each phone reads the library once more, and looks again what it has to upload. */
export async function startPhonesAnew(context: CliContext): Promise<ExitCode> {
  await context.withDatabase(requireResetOfAll)
  context.print(
    'Each phone reads the library anew the next time that it synchronises, and uploads what is missing.',
  )
  return EXIT.done
}
