/**
 * Runs in a media process. ExifTool as a stay-open process of its own; it ends with the media process, whose end closes
 * its standard input.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { ExifTool, exiftoolPath, type Tags } from 'exiftool-vendored'
import { AppError } from '../errors.ts'
import { MediaError } from './media-error.ts'

export const PERL_PLACES = [
  '/usr/bin/perl',
  '/usr/local/bin/perl',
  '/opt/homebrew/bin/perl',
  '/opt/local/bin/perl',
]
/** Shorter than the silence after which the media process itself is killed: a hung Perl must not outlive it. */
const TASK_TIMEOUT_MS = 20_000

/** The Perl that runs ExifTool, which npm brings along without it. Throws `AppError` unavailable with the remedy. */
export function findPerl(places: string[]): string {
  const found = places.find((place) => existsSync(place))
  if (found !== undefined) return found
  throw new AppError(
    'unavailable',
    `ExifTool, which reads dates and places from photos, needs Perl 5, and none is at ${places.join(', ')}. ` +
      'Install it (Debian and Ubuntu: apt-get install perl-base; Alpine: apk add perl) and start again.',
  )
}

let tool: ExifTool | null = null

async function started(perlPlaces: string[]): Promise<ExifTool> {
  if (tool !== null) return tool
  const perl = findPerl(perlPlaces)
  const script = await exiftoolPath()
  tool = new ExifTool({
    maxProcs: 1,
    taskTimeoutMillis: TASK_TIMEOUT_MS,
    taskRetries: 1,
    maxFailedTasksPerProcess: 0,
    checkPerl: false,
    // As numbers even in words.
    numericTags: ['Orientation', 'GPSLatitude', 'GPSLongitude', 'FocalLength', 'ISO'],
    struct: 0,
    processFactory: () =>
      spawn(perl, [script, '-stay_open', 'True', '-@', '-'], { stdio: 'pipe', env: { LANG: 'C' } }),
  })
  return tool
}

/**
 * All tags of a file, dates with time zones inferred from GPS or offsets. Values come as numbers, `inWords` as people
 * write them, which takes ExifTool twice the time (23 instead of 11 ms of CPU for an iPhone's photo). Garbage inside the
 * file does not throw; a file that cannot be opened, or that takes longer than 20 s, is a `MediaError`.
 */
export async function readTags(
  path: string,
  options: { inWords: boolean; perlPlaces?: string[] } = { inWords: false },
): Promise<Tags> {
  const exiftool = await started(options.perlPlaces ?? PERL_PLACES)
  const readArgs = options.inWords ? ['-fast'] : ['-fast', '-n']
  try {
    return await exiftool.read(path, { readArgs, ignoreMinorErrors: true })
  } catch (error) {
    throw asMediaError(error, 'its metadata could not be read')
  }
}

/** Writes a binary tag, such as `PreviewImage`, to a new file. Throws `MediaError`. */
export async function extractTag(tag: string, path: string, to: string): Promise<void> {
  const exiftool = await started(PERL_PLACES)
  try {
    await exiftool.extractBinaryTag(tag, path, to)
  } catch (error) {
    throw asMediaError(error, `its ${tag} could not be taken out`)
  }
}

function asMediaError(error: unknown, what: string): MediaError {
  const message = error instanceof Error ? error.message : String(error)
  const transient = /timeout|timed out|ended|killed|EPIPE/i.test(message)
  return new MediaError(`The file was given to ExifTool, but ${what}: ${message.split('\n')[0]}.`, {
    cause: error,
    transient,
  })
}
