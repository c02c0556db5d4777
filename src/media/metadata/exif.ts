/**
 * Runs in a media process, whose limits it inherits. ExifTool as a stay-open process of its own; it ends with
 * the media process.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { ExifTool, exiftoolPath, type Tags } from 'exiftool-vendored'
import { AppError } from '../../errors.ts'
import { MediaError } from '../media-error.ts'
import { endingWithParent } from '../process-limits.ts'

export const PERL_PLACES = [
  '/usr/bin/perl',
  '/usr/local/bin/perl',
  '/opt/homebrew/bin/perl',
  '/opt/local/bin/perl',
]
/**
 * Shorter than the silence after which the media process itself is killed: a hung Perl must not outlive it.
 */
const TASK_TIMEOUT_MS = 20_000

/**
 * The Perl that runs ExifTool, which npm brings along without it. Throws `AppError` unavailable with the
 * remedy.
 */
export function findPerl(places: string[]): string {
  const found = places.find((place) => existsSync(place))
  if (found !== undefined) return found
  throw new AppError(
    'unavailable',
    `ExifTool, which reads dates and places from photos, needs Perl 5, and none is at ${places.join(', ')}. ` +
      'Install it (Debian and Ubuntu: apt-get install perl-base; Alpine: apk add perl) and start again.',
  )
}

/**
 * Read as numbers; all else comes in words, since many numbers are a maker's own code (an ISO of 6 is 100 at
 * Pentax, a lens is one of a list). Words take ExifTool 23 instead of 15 ms of CPU for photos with large
 * makers' notes.
 */
const NUMERIC_TAGS = [
  '*Duration*',
  'Orientation',
  'GPSLatitude',
  'GPSLongitude',
  'GPSPosition',
  'GPSAltitude',
  'GPSImgDirection',
  'FocalLength',
  'ExposureTime',
  'ExposureCompensation',
  'Rating',
  'ImageSize',
  'BitsPerSample',
]

/**
 * Composites take the place of XMP's own tags of these names, which alone tell on which side of the equator
 * an unsigned number of Apple Photos lies.
 */
const READ_ARGS = ['--Composite:GPSLatitudeRef', '--Composite:GPSLongitudeRef']

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
    numericTags: NUMERIC_TAGS,
    // Structures, such as regions of faces, and their fields by themselves.
    struct: 2,
    inferTimezoneFromDatestamps: true,
    inferTimezoneFromTimeStamp: true,
    processFactory() {
      const [file = perl, ...args] = endingWithParent([perl, script, '-stay_open', 'True', '-@', '-'])
      return spawn(file, args, { stdio: 'pipe', env: { LANG: 'C', TZ: 'UTC' } })
    },
  })
  return tool
}

/**
 * All tags of a file, also of what is appended to it, with the zones of dates that offsets, the place, or
 * another time in UTC tell. Garbage inside the file does not throw; a file that cannot be opened, or that
 * takes longer than 20 s, is a `MediaError`.
 */
export async function readTags(path: string, perlPlaces: string[] = PERL_PLACES): Promise<Tags> {
  const exiftool = await started(perlPlaces)
  try {
    // Without `-fast`, which would leave out what Samsung's phones append: the time in UTC, films.
    return await exiftool.read(path, { readArgs: READ_ARGS, ignoreMinorErrors: true })
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
  const isLeft = isUnfinished(error)
  const message = error instanceof Error ? error.message : String(error)
  // What the library says of a process that died holds all of its command.
  const why = isLeft ? 'it did not finish' : message.split('\n')[0]
  return new MediaError(`The file was given to ExifTool, but ${what}: ${why}.`, {
    cause: error,
    fault: isLeft ? 'exhausted' : 'file',
  })
}

/**
 * Whether ExifTool took too long or its process ended, so that nothing was said about the file. The library
 * names its time-outs; a process that ended is told by the beginning of its message alone, which a test
 * provokes.
 */
export function isUnfinished(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error.name === 'TaskTimeoutError') return true
  return /^(Process terminated before task completed|BatchCluster has ended|proc\.stdin unexpectedly closed|(stdin|stdout|stderr|proc)\.error: )/.test(
    error.message,
  )
}
