import { Command, CommanderError } from 'commander'
import { ConfigError } from '../config/mistakes.ts'
import { AppError } from '../errors.ts'
import { VERSION } from '../version.ts'
import type { RestoreOptions } from './backups/restore.ts'
import type { CatalogueAdoptOptions } from './catalogue/adopt.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import type { ExportOptions } from './export.ts'
import type { PlacesOptions } from './places.ts'
import type { AdoptOptions } from './storage/adopt.ts'
import { addCampaignCommands } from './storage/campaign-commands.ts'
import type { DrainOptions } from './storage/drain.ts'
import type { DrillOptions } from './storage/drill.ts'
import type { ReconcileOptions } from './storage/reconcile.ts'
import type { ScrubFromCliOptions } from './storage/scrub.ts'
import type { UseAsCopyOptions } from './storage/use-as-copy.ts'
import type { UserOptions } from './users/create.ts'

type Json = { json?: boolean }

/**
 * Runs one command; `argv` without node and script. Errors go to standard error as one line. Each command is
 * loaded when it runs, for all of them are 500 modules: half of the 300 ms of CPU of `glassine --help`.
 */
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
      '\nExit codes: 0 done, 1 failed, 2 usage error, 3 done and something needs attention.\n' +
        'To start the server or a worker: glassine server, glassine worker.',
    )

  /** A command that takes nothing and changes nothing. `load` gives what prints it. */
  const addReport = (
    parent: Command,
    name: string,
    description: string,
    load: () => Promise<(context: CliContext, options: Json) => Promise<ExitCode>>,
  ) =>
    parent
      .command(name)
      .description(description)
      .option('--json', 'as JSON')
      .action(async (options: Json) => {
        const print = await load()
        code = await print(context, options)
      })

  program
    .command('export')
    .description(
      'write photos and videos as plain files, with a list of their SHA-256; cut short, it goes on the next time',
    )
    .argument('<folder>', 'an empty folder, or that of an earlier export')
    .option('--user <email>', 'of this user (default: all)')
    .option('--album <name>', 'of this album: its name, or its id')
    .option('--from <day>', 'taken on this day or later, such as 2024-05-01')
    .option('--to <day>', 'taken on this day or earlier')
    .option(
      '--template <path>',
      'folders and names below the user, such as {{y}}/{{MM}}/{{filename}} (default: by year and month)',
    )
    .option('--with-trash', 'also what lies in the trash')
    .option('--plan', 'only say what would be written')
    .option('--json', 'as JSON')
    .action(async (folder: string, options: ExportOptions) => {
      const { exportFromCli } = await import('./export.ts')
      code = await exportFromCli(context, folder, options)
    })

  const storage = program.command('storage').description('where the files are, and how well that is proven')
  addReport(
    storage,
    'status',
    'whether everything is safe, where it is, what is happening, and whether the locations are healthy',
    async () => (await import('./storage/status.ts')).printStorageStatus,
  )
  storage
    .command('receipt')
    .description('where every file of an asset is, and what proves it')
    .argument('<asset>', 'its id')
    .option('--json', 'as JSON')
    .action(async (asset: string, options: Json) => {
      const { printReceipt } = await import('./storage/receipt.ts')
      code = await printReceipt(context, asset, options)
    })
  storage
    .command('receipts')
    .description('where every original is, and what proves it, for all users')
    .option('--format <format>', 'csv, or json for one object a line', 'csv')
    .option('--out <file>', 'a file that does not exist yet (default: standard output)')
    .action(async (options: { format: string; out?: string }) => {
      const { printReceipts } = await import('./storage/receipts.ts')
      code = await printReceipts(context, options)
    })
  storage
    .command('probe')
    .description('test what every location can do, and store the result')
    .option('--json', 'as JSON')
    .option('--origin <url...>', 'where your pages are: their CORS rules are tried too')
    .action(async (options: Json & { origin?: string[] }) => {
      const { printProbe } = await import('./storage/probe.ts')
      code = await printProbe(context, options)
    })

  storage
    .command('check')
    .description(
      'list what the locations hold, and find what is missing or changed; it happens by itself once a day',
    )
    .argument('[location]', 'such as s3 (default: all)')
    .option('--json', 'as JSON')
    .action(async (location: string | undefined, options: Json) => {
      const { checkFromCli } = await import('./storage/check.ts')
      code = await checkFromCli(context, location, options)
    })

  storage
    .command('reconcile')
    .description(
      'show rows without files and files that belong to nothing; with --confirm, give those files up after a hold time',
    )
    .option('--location <location>', 'such as s3 (default: all)')
    .option('--confirm <text>', 'the words that the plan asks for, such as "collect 312 files"')
    .option('--undo <id>', 'take a decision back: what is not removed yet stays')
    .option('--json', 'as JSON')
    .action(async (options: ReconcileOptions) => {
      const { reconcileFromCli } = await import('./storage/reconcile.ts')
      code = await reconcileFromCli(context, options)
    })

  storage
    .command('scrub')
    .description('read all originals and sidecars of a location and compare them with their SHA-256')
    .argument('<location>', 'such as local or s3')
    .option('--yes', 'of a bucket, which bills what is read: do it')
    .option('--json', 'as JSON')
    .action(async (location: string, options: ScrubFromCliOptions) => {
      const { scrubFromCli } = await import('./storage/scrub.ts')
      code = await scrubFromCli(context, location, options)
    })

  addCampaignCommands(program, context, (result) => {
    code = result
  })

  storage
    .command('drain')
    .description('empty a location: every file gets its copies elsewhere first, proven, and then goes there')
    .argument('<location>', 'such as s3')
    .option('--cancel', 'files belong there again, as the configuration says')
    .option('--json', 'as JSON')
    .action(async (location: string, options: DrainOptions) => {
      const { drainFromCli } = await import('./storage/drain.ts')
      code = await drainFromCli(context, location, options)
    })

  storage
    .command('retire')
    .description('forget a location that was drained; refused while anything is left there')
    .argument('<location>', 'such as s3')
    .option('--json', 'as JSON')
    .action(async (location: string, options: Json) => {
      const { retireFromCli } = await import('./storage/drain.ts')
      code = await retireFromCli(context, location, options)
    })

  addReport(
    storage,
    'reload',
    'have all servers and workers read their configuration again: locations, and where files belong',
    async () => (await import('./storage/reload.ts')).reloadFromCli,
  )

  storage
    .command('use-as-copy')
    .description(
      'make this installation a copy: it reads the files of the original, and writes to a location of its own',
    )
    .argument('<location>', 'such as s3')
    .option('--yes', 'do it; without this option, only show what would be done')
    .option('--json', 'as JSON')
    .action(async (location: string, options: UseAsCopyOptions) => {
      const { useAsCopyFromCli } = await import('./storage/use-as-copy.ts')
      code = await useAsCopyFromCli(context, location, options)
    })

  storage
    .command('drill')
    .description('simulate an outage of a location, to see that everything copes; it ends by itself')
    .argument('[location]', 'such as s3 (default: the bucket, where there is only one)')
    .option('--minutes <number>', '1 to 60 (default: 5)')
    .option('--stop', 'end it now')
    .option('--no-wait', 'return at once instead of showing the minutes left')
    .option('--json', 'as JSON')
    .action(async (location: string | undefined, options: DrillOptions) => {
      const { runDrill } = await import('./storage/drill.ts')
      code = await runDrill(context, location, options)
    })

  addReport(
    storage,
    'classes',
    'what is kept in which storage class, and what the rules would move, at what price',
    async () => (await import('./storage/classes.ts')).printClasses,
  )
  storage
    .command('restore')
    .description('whether an original is archived, and what restoring it costs; with --tier, restore it')
    .argument('<asset>', 'its id')
    .option('--tier <tier>', 'bulk, standard or expedited')
    .option('--days <days>', 'for how many days it can be opened then', '7')
    .option('--json', 'as JSON')
    .action(async (asset: string, options: { tier?: string; days: string } & Json) => {
      const { restoreFromCli } = await import('./storage/restore.ts')
      code = await restoreFromCli(context, asset, options)
    })

  storage
    .command('adopt')
    .description('show what taking over a location means that another database has used; with --yes, do it')
    .argument('<location>', 'such as s3')
    .option('--yes', 'continue with what is there; nothing is removed')
    .option('--json', 'as JSON')
    .action(async (location: string, options: AdoptOptions) => {
      const { adoptFromCli } = await import('./storage/adopt.ts')
      code = await adoptFromCli(context, location, options)
    })

  const backup = program
    .command('backup')
    .description('backups of the database, which say whose each photo is')
  backup
    .command('now')
    .description('make one now, and wait until it is verified where it belongs')
    .action(async () => {
      const { backUpNow } = await import('./backups/now.ts')
      code = await backUpNow(context)
    })
  addReport(
    backup,
    'list',
    'the backups that this installation knows, and where they are',
    async () => (await import('./backups/list.ts')).listBackups,
  )
  backup
    .command('key')
    .description('show the key that backups are encrypted with, at a terminal, so that you can write it down')
    .option('--new', 'make a new one first: the old one is lost, or somebody may have seen it')
    .action(async (options: { new?: boolean }) => {
      const { showBackupKey } = await import('./backups/key.ts')
      code = await showBackupKey(context, options)
    })
  program
    .command('restore')
    .description(
      'on a machine without an installation: show what the newest backup of a location would bring back; with --yes, do it',
    )
    .requiredOption('--from <location>', 'where the backups are, such as s3')
    .option(
      '--at <time or key>',
      'another backup: its key, or the newest one that is not newer than this time',
    )
    .option('--key-file <file>', 'the file with the backup key (default: it is asked for)')
    .option('--yes', 'restore it; nothing at the location is changed by that')
    .option('--adopt', 'then take over what the locations hold, as glassine storage adopt does')
    .option(
      '--drill',
      'on a machine with one: restore into a database that is removed again, and say what came back',
    )
    .action(async (options: RestoreOptions & { drill?: boolean }) => {
      if (options.drill) code = await (await import('./backups/drill.ts')).drillRestore(context, options)
      else code = await (await import('./backups/restore.ts')).restoreFromBackup(context, options)
    })

  program
    .command('rebuild')
    .description(
      'on a machine without an installation, where no backup is left: show what the catalogue of a location would bring back; with --yes, do it',
    )
    .requiredOption('--from <location>', 'where the originals are, such as s3')
    .option('--installation <id>', 'whose, where there are several')
    .option('--yes', 'do it; nothing at the location is removed by that')
    .action(async (options: { from: string; installation?: string; yes?: boolean }) => {
      const { rebuildFromCatalogue } = await import('./backups/rebuild.ts')
      code = await rebuildFromCatalogue(context, options)
    })

  const catalogue = program
    .command('catalogue')
    .description('what lies beside the originals, and names them all')
  catalogue
    .command('now')
    .description('write what changed since it was written last')
    .action(async () => {
      const { writeCatalogueNow } = await import('./catalogue/now.ts')
      code = await writeCatalogueNow(context)
    })
  catalogue
    .command('adopt')
    .description(
      'after a restore: show what the catalogue has that this database has not; with --yes, bring it back',
    )
    .option('--yes', 'do it; nothing is changed at a location, and nothing is removed')
    .option('--trash-deleted', 'put what had been deleted later into the trash')
    .option('--json', 'as JSON')
    .action(async (options: CatalogueAdoptOptions) => {
      const { adoptCatalogueFromCli } = await import('./catalogue/adopt.ts')
      code = await adoptCatalogueFromCli(context, options)
    })

  program
    .command('sync')
    .description("what Immich's phone apps know of the library")
    .command('start-anew')
    .description(
      'after the whole machine was put back to an older state: have every phone read the library anew, and upload what is missing',
    )
    .action(async () => {
      const { startPhonesAnew } = await import('./sync/start-anew.ts')
      code = await startPhonesAnew(context)
    })

  const metadata = program
    .command('metadata')
    .description('dates, places and other facts that are read from photos and videos')
  addReport(
    metadata,
    'status',
    'how far the reading of older originals is after an upgrade, and what it may cost',
    async () => (await import('./metadata-status.ts')).printMetadataStatus,
  )
  metadata
    .command('places')
    .description('how many coordinates wait for the name of their place, or have one of older data')
    .option('--update', 'take the names of the newer data, in the background')
    .option('--json', 'as JSON')
    .action(async (options: PlacesOptions) => {
      const { printPlaces } = await import('./places.ts')
      code = await printPlaces(context, options)
    })

  program
    .command('notifications')
    .description('messages about what an owner must know of')
    .command('test')
    .description('send a test message by e-mail and to the webhook, as configured')
    .action(async () => {
      const { testNotifications } = await import('./notifications/test.ts')
      code = await testNotifications(context)
    })

  const users = program.command('users').description('who may log in')
  users
    .command('create')
    .description('create a user; the first one is an administrator')
    .requiredOption('--email <address>', 'what they log in with')
    .option('--name <name>', 'what others see (default: the address up to the @)')
    .option('--admin', 'may manage users, jobs and storage')
    .option('--quota <size>', 'how much they may upload in all, such as 50GiB (default: no limit)')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'as JSON')
    .action(async (options: UserOptions) => {
      const { createUserFromCli } = await import('./users/create.ts')
      code = await createUserFromCli(context, options)
    })

  addReport(
    users,
    'list',
    'who may log in, and how much they have uploaded',
    async () => (await import('./users/manage.ts')).listUsersFromCli,
  )
  users
    .command('reset-password')
    .description('set a new password for somebody; ends all their sessions')
    .argument('<email>', 'what they log in with')
    .option('--password-stdin', 'read the password from standard input')
    .option('--json', 'as JSON')
    .action(async (email: string, options: { passwordStdin?: boolean } & Json) => {
      const { resetPasswordFromCli } = await import('./users/manage.ts')
      code = await resetPasswordFromCli(context, email, options)
    })
  users
    .command('quota')
    .description('set how much somebody may upload in all')
    .argument('<email>', 'what they log in with')
    .argument('<size>', 'such as 50GiB, or none for no limit')
    .option('--json', 'as JSON')
    .action(async (email: string, size: string, options: Json) => {
      const { setQuotaFromCli } = await import('./users/manage.ts')
      code = await setQuotaFromCli(context, email, size, options)
    })
  users
    .command('delete')
    .description(
      'say what goes with a user and, with --yes, delete them; for seven days they can be restored',
    )
    .argument('<email>', 'what they log in with')
    .option('--yes', 'delete them')
    .option('--json', 'as JSON')
    .action(async (email: string, options: { yes?: boolean } & Json) => {
      const { deleteUserFromCli } = await import('./users/delete.ts')
      code = await deleteUserFromCli(context, email, options)
    })
  users
    .command('restore')
    .description('bring a deleted user back, with all that they have')
    .argument('<email>', 'what they logged in with')
    .option('--json', 'as JSON')
    .action(async (email: string, options: Json) => {
      const { restoreUserFromCli } = await import('./users/delete.ts')
      code = await restoreUserFromCli(context, email, options)
    })

  addVersion(program)
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
    printError(context.style.red(context.explain(error)))
    return EXIT.failed
  }
}

/** To every command, so that people who report a fault can use it with any command. */
function addVersion(command: Command): void {
  command.version(`glassine ${VERSION}`, '-V, --version', 'say which version this is')
  for (const sub of command.commands) addVersion(sub)
}
