/**
 * Starts the server that the command line describes, says how to reach it, and ends it on SIGINT or SIGTERM.
 */
import { resolve } from 'node:path'
import { type StrictS3, startStrictS3 } from '../server.ts'
import { findCredentials } from './credentials.ts'
import { type CommandOptions, helpText, readOptions, UsageError } from './options.ts'

/** Resolves with the exit code when the server has ended. */
export async function runCommand(args: string[], env: Record<string, string | undefined>): Promise<number> {
  const ending = nextSignal()
  let server: StrictS3
  try {
    const options = readOptions(args)
    if (options === 'help') {
      process.stdout.write(helpText)
      return 0
    }
    server = await start(options, env)
  } catch (error) {
    const isUsage = error instanceof UsageError
    process.stderr.write(
      isUsage
        ? `${error.message}\n"strict-s3 --help" tells what can be given.\n`
        : `strict-s3 does not start. ${reasonOf(error as NodeJS.ErrnoException)}\n`,
    )
    return isUsage ? 2 : 1
  }
  await ending
  await server.close()
  return 0
}

async function start(options: CommandOptions, env: Record<string, string | undefined>): Promise<StrictS3> {
  const { store, host, port, buckets, region, profile } = options
  const found = await findCredentials(env, store.kind === 'folder' ? store.path : null)
  const server = await startStrictS3({
    store,
    credentials: found.credentials,
    buckets,
    region,
    host,
    port,
    profile: profile.settings,
    onInternalError: (error, request) => console.error(request, error),
  })
  const lines = [
    ['endpoint', server.endpoint],
    ['region', region],
    [buckets.length === 1 ? 'bucket' : 'buckets', buckets.join(', ')],
    ['access key id', found.credentials.accessKeyId],
    ['secret access key', found.secretIs],
    ['data', store.kind === 'folder' ? resolve(store.path) : 'in memory'],
    ['profile', profile.name],
  ]
  process.stdout.write(lines.map(([name, value]) => `${name!.padEnd(19)}${value}\n`).join(''))
  return server
}

/** A second signal ends the process at once, as it would without us. */
function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}

function reasonOf(error: NodeJS.ErrnoException & { address?: string; port?: number }): string {
  if (error.code === 'EADDRINUSE')
    return `Port ${error.port} of ${error.address} is in use. Give another --port, or 0 for any free one.`
  return error.message
}
