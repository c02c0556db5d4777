/**
 * What an export's folder holds, in the folder itself: a line of JSON for each file, written when the file is
 * complete and on the disk. So an export goes on where it was cut short, and everybody can check it:
 * `SHA256SUMS` has the same sums as `sha256sum --check` reads them.
 */
import { type FileHandle, open, readdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../errors.ts'
import { type FileLock, tryLock } from '../../file-lock.ts'

export const MANIFEST = 'glassine-export.jsonl'
export const SUMS = 'SHA256SUMS'
/** What is being written; renamed when it is complete. */
export const UNFINISHED = '.glassine-unfinished'

const ENTRY = z.object({
  /** Below the folder, with `/`. */
  path: z.string(),
  size: z.number(),
  sha256: z.string(),
  kind: z.enum(['original', 'film', 'sidecar']),
  asset: z.string(),
  /** As it was called when it was uploaded. */
  name: z.string(),
  /** ISO 8601. */
  takenAt: z.string(),
  isFavorite: z.boolean(),
  albums: z.array(z.string()),
})
export type ManifestEntry = z.infer<typeof ENTRY>

export const entryKey = ({ asset, kind }: Pick<ManifestEntry, 'asset' | 'kind'>) => `${asset} ${kind}`

/** @throws AppError invalid where the folder holds something, and is none of an export */
export async function requireExportFolder(folder: string): Promise<void> {
  const names = await readdir(folder)
  const others = names.filter((name) => name !== UNFINISHED)
  if (others.length > 0 && !names.includes(MANIFEST))
    throw new AppError(
      'invalid',
      `${folder} holds ${others[0]} and no ${MANIFEST}: name an empty folder, or that of an earlier export.`,
    )
}

function parseEntry(line: string): ManifestEntry | null {
  try {
    return ENTRY.parse(JSON.parse(line))
  } catch {
    return null
  }
}

export type Manifest = {
  /** By asset and kind; of several lines the last one counts. */
  known: Map<string, ManifestEntry>
  add(entry: ManifestEntry): Promise<void>
  close(): Promise<void>
}

/**
 * For one export at a time: another one would clear away what this one has not finished. Of a line that a
 * kill has cut nothing stays: its file is found again by its bytes.
 * @throws AppError conflict while another export writes to the folder; invalid where a line is none of ours
 */
export async function openManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST)
  // Who may read the photos may read what they are called, and nobody else.
  const file: FileHandle = await open(path, 'a+', 0o600)
  let lock: FileLock | undefined
  const close = async () => {
    await file.close()
    await lock?.release()
  }
  try {
    lock = await lockOf(path)
    const text = await file.readFile()
    const whole = text.lastIndexOf('\n') + 1
    const known = entriesOf(text.toString('utf8', 0, whole), path)
    if (whole < text.length) await file.truncate(whole)
    return {
      known,
      async add(entry) {
        await file.appendFile(`${JSON.stringify(entry)}\n`)
        await file.datasync()
        known.set(entryKey(entry), entry)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function entriesOf(text: string, path: string): Map<string, ManifestEntry> {
  const lines = text.split('\n').slice(0, -1)
  return new Map(
    lines.map((line, index) => {
      const entry = parseEntry(line)
      if (entry === null) throw new AppError('invalid', `${path}, line ${index + 1}, is not of an export.`)
      return [entryKey(entry), entry]
    }),
  )
}

async function lockOf(path: string): Promise<FileLock> {
  const lock = await tryLock(path, 'exclusive', 'and copy the files from there')
  if (lock !== null) return lock
  throw new AppError('conflict', `Another export writes to ${dirname(path)}: wait for its end, or stop it.`)
}

/** Of all that the manifest names, in the order of the paths. */
export async function writeSums(folder: string, entries: Iterable<ManifestEntry>): Promise<void> {
  const lines = [...entries]
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ sha256, path }) => `${sha256}  ${path}\n`)
  const path = join(folder, SUMS)
  await writeFile(`${path}.new`, lines.join(''), { mode: 0o600, flush: true })
  await rename(`${path}.new`, path)
}
