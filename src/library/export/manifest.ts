/**
 * What an export's folder holds, in the folder itself: a line of JSON for each file, written when the file is
 * complete and on the disk. So an export goes on where it was cut short, and everybody can check it:
 * `SHA256SUMS` has the same sums as `sha256sum --check` reads them.
 */
import { type FileHandle, open, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../../errors.ts'

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

/**
 * By asset and kind; of several lines the last one counts. Empty where the folder is.
 * @throws AppError invalid where the folder holds something that is no export's, or a manifest that is none
 */
export async function readManifest(folder: string): Promise<Map<string, ManifestEntry>> {
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text === null) {
    const others = (await readdir(folder)).filter((name) => name !== UNFINISHED)
    if (others.length > 0)
      throw new AppError(
        'invalid',
        `${folder} holds ${others[0]} and no ${MANIFEST}: name an empty folder, or that of an earlier export.`,
      )
    return new Map()
  }
  const entries = new Map<string, ManifestEntry>()
  for (const [index, line] of wholeLines(text).entries()) {
    const entry = parseEntry(line)
    if (entry === null)
      throw new AppError('invalid', `${join(folder, MANIFEST)}, line ${index + 1}, is not of an export.`)
    entries.set(entryKey(entry), entry)
  }
  return entries
}

/** The last one may have been cut by a kill: its file is found again by its bytes. */
const wholeLines = (text: string) => text.split('\n').slice(0, -1)

function parseEntry(line: string): ManifestEntry | null {
  try {
    return ENTRY.parse(JSON.parse(line))
  } catch {
    return null
  }
}

export type Manifest = { add(entry: ManifestEntry): Promise<void>; close(): Promise<void> }

/** For adding lines. Of one that a kill has cut, nothing stays. */
export async function openManifest(folder: string): Promise<Manifest> {
  const path = join(folder, MANIFEST)
  // Who may read the photos may read what they are called, and nobody else.
  const file: FileHandle = await open(path, 'a+', 0o600)
  const text = await file.readFile()
  const whole = text.lastIndexOf('\n') + 1
  if (whole < text.length) await file.truncate(whole)
  return {
    async add(entry) {
      await file.appendFile(`${JSON.stringify(entry)}\n`)
      await file.datasync()
    },
    close: () => file.close(),
  }
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
