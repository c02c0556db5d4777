import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { exiftoolPath } from 'exiftool-vendored'

/** Tags as `exiftool -j` prints them. */
export type Printed = Record<string, unknown>

const run = promisify(execFile)
const ENVIRONMENT = { LANG: 'C', TZ: 'UTC', PATH: process.env.PATH }

/**
 * What the command `exiftool` prints of the files below a folder, by their paths relative to it: an
 * independent reader, since nothing of ours, and nothing of the library that we read with, interprets it.
 */
export async function printTags(folder: string, options: string[]): Promise<Map<string, Printed>> {
  const script = await exiftoolPath()
  const args = [script, '-j', '-charset', 'filename=utf8', ...options, '-r', '.']
  // It ends with 1 where some file has an error, which is among what it prints.
  const { stdout } = await run('perl', args, {
    cwd: folder,
    maxBuffer: 512 * 2 ** 20,
    env: ENVIRONMENT,
  }).catch((error: Error & { stdout?: string; code?: number }) => {
    if (error.code === 1 && error.stdout) return { stdout: error.stdout }
    throw error
  })
  const printed = JSON.parse(stdout) as Printed[]
  return new Map(printed.map((tags) => [String(tags.SourceFile).replace(/^\.\//, ''), tags]))
}

/** Writes tags into a file that exists, as the command `exiftool` does: `-IPTC:DateCreated=2006:10:29`. */
export async function writeTags(path: string, ...assignments: string[]): Promise<void> {
  const args = [await exiftoolPath(), '-q', '-overwrite_original', ...assignments, path]
  await run('perl', args, { env: ENVIRONMENT })
}
