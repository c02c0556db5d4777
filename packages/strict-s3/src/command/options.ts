/** The command line: what may be given, and every mistake in it with its remedy. */
import { parseArgs } from 'node:util'
import { isBucketName } from '../operations/buckets/buckets.ts'
import { profiles, type StrictProfile } from '../profiles.ts'

export type CommandOptions = {
  store: { kind: 'memory' } | { kind: 'folder'; path: string }
  host: string
  port: number
  buckets: string[]
  region: string
  profile: { name: string; settings: Partial<StrictProfile> }
}

/** The caller's mistake: told in a sentence, without a stack; the exit code is 2. */
export class UsageError extends Error {}

const defaults = { host: '127.0.0.1', port: '9000', bucket: ['photos'], region: 'us-east-1', profile: 'aws' }
const profileNames = Object.keys(profiles).join(', ')

export const helpText = `Usage: strict-s3 (--folder PATH | --memory) [options]

An S3 server that is strict on purpose: it refuses what AWS refuses.

  --folder PATH    keep the data in this folder (made when absent; one process at a time)
  --memory         keep the data in memory; it is gone when the program ends
  --port NUMBER    default ${defaults.port}; 0 takes any free one
  --host ADDRESS   default ${defaults.host}; the connection is not encrypted, so think before you open it to others
  --bucket NAME    made when absent, default ${defaults.bucket[0]}; may be given several times
  --region NAME    default ${defaults.region}
  --profile NAME   behave like this provider, default ${defaults.profile}: ${profileNames}
  --help           print this text

Credentials come from STRICT_S3_ACCESS_KEY_ID and STRICT_S3_SECRET_ACCESS_KEY. Without them they are made up and printed
once; with --folder they are kept in its credentials.json, which only its owner may read.

Exit codes: 0 ended by SIGINT or SIGTERM, 1 could not start or failed, 2 a mistake on the command line.
`

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      strict: true,
      allowPositionals: false,
      options: {
        folder: { type: 'string' },
        memory: { type: 'boolean', default: false },
        port: { type: 'string', default: defaults.port },
        host: { type: 'string', default: defaults.host },
        bucket: { type: 'string', multiple: true, default: defaults.bucket },
        region: { type: 'string', default: defaults.region },
        profile: { type: 'string', default: defaults.profile },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    // Anything else would be a mistake of ours.
    if (!String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS_')) throw error
    throw new UsageError((error as Error).message)
  }
}

function readStore(folder: string | undefined, memory: boolean): CommandOptions['store'] {
  if (memory && folder !== undefined) throw new UsageError('Give either --folder or --memory, not both.')
  if (memory) return { kind: 'memory' }
  if (folder) return { kind: 'folder', path: folder }
  throw new UsageError('Give --folder PATH to keep the data, or --memory to lose it at the end.')
}

function readPort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new UsageError(`--port ${text} is no port. Give a number from 0 to 65535.`)
}

function readProfile(name: string): CommandOptions['profile'] {
  if (Object.hasOwn(profiles, name)) return { name, settings: profiles[name as keyof typeof profiles] }
  throw new UsageError(`--profile ${name} is not known. Give one of: ${profileNames}.`)
}

function readBucket(name: string): string {
  if (isBucketName(name)) return name
  throw new UsageError(
    `--bucket ${name} is no bucket name. Give 3 to 63 lower-case letters, digits, dots and hyphens.`,
  )
}

/** `help` when it was asked for. Throws UsageError. */
export function readOptions(args: string[]): CommandOptions | 'help' {
  const values = parse(args)
  if (values.help) return 'help'
  for (const name of ['folder', 'host', 'region'] as const) {
    if (values[name] === '') throw new UsageError(`--${name} is empty. Give a value, or leave it out.`)
  }
  return {
    store: readStore(values.folder, values.memory),
    host: values.host,
    port: readPort(values.port),
    buckets: [...new Set(values.bucket.map(readBucket))],
    region: values.region,
    profile: readProfile(values.profile),
  }
}
