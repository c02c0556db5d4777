import { VERSION } from '../version.ts'

const VARIABLES = `
Where it finds its things (docs/configuration.md):
  GLASSINE_DATA    the data folder (default: ./data)
  GLASSINE_CONFIG  the configuration file (default: ./glassine.yaml, which may be missing)
  GLASSINE_HOST    the address to listen on (default: 0.0.0.0)
  GLASSINE_PORT    the port to listen on (default: 2283)

Ctrl-C or SIGTERM ends it in good order. Everything else: glassine --help`

/**
 * Answers `--help` and `--version` of a command that runs until it is ended, and refuses what it doesn't
 * know: nothing is started then, and the process ends.
 * @param about what it does, in one sentence
 */
export function answerArguments(argv: readonly string[], command: string, about: string): void {
  const [first] = argv
  if (first === undefined) return
  if (['-h', '--help', 'help'].includes(first)) {
    process.stdout.write(`Usage: glassine ${command}\n\n${about}\n${VARIABLES}\n`)
    process.exit(0)
  }
  if (['-V', '--version'].includes(first)) {
    process.stdout.write(`glassine ${VERSION}\n`)
    process.exit(0)
  }
  process.stderr.write(`error: unknown argument "${first}"; glassine ${command} --help lists what there is\n`)
  process.exit(2)
}
