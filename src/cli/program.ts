import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/mistakes.ts'
import { AppError } from '../errors.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import { printClasses } from './storage-classes.ts'
import { type DrillOptions, runDrill } from './storage-drill.ts'
import { printProbe } from './storage-probe.ts'
import { printReceipt } from './storage-receipt.ts'
import { restoreFromCli } from './storage-restore.ts'
import { printStorageStatus } from './storage-status.ts'
import { createUserFromCli, type UserOptions } from './users-create.ts'

type Json = { json?: boolean }

/** Runs one command; `argv` without node and script. Errors go to standard error as one line. */
export async function runCommand(
  argv: string[],
  context: CliContext,
  printError: (text: string) => void,
): Promise<ExitCode> {
  let code: ExitCode = EXIT.done
  const program = new Command('glassine')
    .description(
      'Photos and videos whose originals live in object storage. GLASSINE_DATA and GLASSINE_CONFIG say which installation.',
    )
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
    })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 called in a wrong way, 3 done and something needs attention.\n' +
        'glassine server and glassine worker start those.',
    )

  const storage = program.command('storage').description('where the files are, and how well that is proven')
  storage
    .command('status')
    .description('is everything safe, where is it, what is happening, are the places healthy')
    .option('--json', 'as JSON')
    .action(async (options: Json) => {
      code = await printStorageStatus(context, options)
    })
  storage
    .command('receipt')
    .description('where every file of an asset is, and what proves it')
    .argument('<asset>', 'its id')
    .option('--json', 'as JSON')
    .action(async (asset: string, options: Json) => {
      code = await printReceipt(context, asset, options)
    })
  storage
    .command('probe')
    .description('try out what every place can do, and store what is found')
    .option('--json', 'as JSON')
    .option('--origin <url...>', 'where your pages are: their CORS rules are tried too')
    .action(async (options: Json & { origin?: string[] }) => {
      code = await printProbe(context, options)
    })

  storage
    .command('drill')
    .description('make a place unreachable for some minutes, to see that everything copes; ends by itself')
    .argument('<location>', 'such as s3')
    .option('--minutes <number>', '1 to 60 (default: 5)')
    .option('--stop', 'end it now')
    .option('--no-wait', 'return at once instead of showing the minutes left')
    .option('--json', 'as JSON')
    .action(async (location: string, options: DrillOptions) => {
      code = await runDrill(context, location, options)
    })

  storage
    .command('classes')
    .description('what is kept in which storage class, and what the rules would move, at what price')
    .option('--json', 'as JSON')
    .action(async (options: Json) => {
      code = await printClasses(context, options)
    })
  storage
    .command('restore')
    .description('how an archived original stands and what its restore costs; with --tier, asks for it')
    .argument('<asset>', 'its id')
    .option('--tier <tier>', 'bulk, standard or expedited')
    .option('--days <days>', 'how long it can be opened then', '7')
    .option('--json', 'as JSON')
    .action(async (asset: string, options: { tier?: string; days: string } & Json) => {
      code = await restoreFromCli(context, asset, options)
    })

  const users = program.command('users').description('who may log in')
  users
    .command('create')
    .description('create a user; the first one is an administrator')
    .requiredOption('--email <address>', 'what they log in with')
    .option('--name <name>', 'what others see (default: the address up to the @)')
    .option('--admin', 'may manage users, jobs and storage')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'as JSON')
    .action(async (options: UserOptions) => {
      code = await createUserFromCli(context, options)
    })

  try {
    await program.parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    context.progress('')
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
    if (error instanceof ConfigError) {
      printError(error.message)
      return EXIT.usage
    }
    if (error instanceof AppError) {
      printError(context.style.red(error.message))
      return error.code === 'invalid' ? EXIT.usage : EXIT.failed
    }
    printError(context.style.red(error instanceof Error ? (error.stack ?? error.message) : String(error)))
    return EXIT.failed
  }
}
