/**
 * Writes photos and videos as plain files: `Anna/2024/2024-05/IMG_1.HEIC`, with film and sidecar beside it.
 * Each file is complete, has the SHA-256 of its object and is on the disk before the manifest names it. No
 * file that is there is ever written over.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, rename, rm, statfs, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Database } from '../../database/connect.ts'
import { AppError, isAppError } from '../../errors.ts'
import { type ArchivedObject, archivedAmong } from '../../placement/classes/archive.ts'
import type { Placement } from '../../placement/placement.ts'
import { findServable } from '../../placement/reads/serve.ts'
import { listReceipts } from '../../placement/reports/receipt-list.ts'
import { namesOf, safeName } from '../file-names.ts'
import type { PathTemplate } from '../path-templates/template.ts'
import {
  entryKey,
  type Manifest,
  type ManifestEntry,
  openManifest,
  requireExportFolder,
  UNFINISHED,
  writeSums,
} from './manifest.ts'
import { type ChosenAsset, chosenAssets, type Selection } from './selection.ts'

export type Amount = { count: number; bytes: number }
export type FailedFile = { path: string; asset: string; reason: string }

export type ExportReport = {
  /** All that were chosen; the others are parts of it. */
  files: Amount
  written: Amount
  /** Of an earlier run. */
  there: Amount
  /** Originals that must be restored before they can be read. */
  archived: ArchivedObject[]
  failed: FailedFile[]
  /** It was interrupted, or no room was left: the next run goes on. */
  stoppedBy: 'interrupt' | 'no-room' | null
}

type Parts = { db: Database; placement: Placement }
/** `template`: null, by year and month, under the name of the upload. */
type Wanted = { selection: Selection; template: PathTemplate | null }
type ExportedFile = ManifestEntry & { objectId: string }

/** Several at a time, for a bucket's answer takes longer than a small photo's bytes. */
const AT_ONCE = 4

/** What an export would write, without writing anything: `archived` is complete. */
export async function planExport(
  { db, placement }: Parts,
  { selection, template }: Wanted,
): Promise<ExportReport> {
  const report = emptyReport()
  for await (const page of chosenAssets(db, selection, template)) {
    const files = await filesOf(db, page, new Map(), new Map())
    for (const { size } of files) add(report.files, size)
    report.archived.push(...(await archivedOf(placement, files)))
  }
  return report
}

/**
 * `onProgress` hears of all files that are settled. `signal`: files that are begun are given up.
 * @throws AppError invalid where the folder is none of an export, conflict while another writes to it
 */
export async function writeExport(
  { db, placement }: Parts,
  folder: string,
  { selection, template }: Wanted,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (report: ExportReport) => void },
): Promise<ExportReport> {
  await mkdir(folder, { recursive: true })
  await requireExportFolder(folder)
  const manifest = await openManifest(folder)
  const report = emptyReport()
  const stop = new AbortController()
  const until = AbortSignal.any([signal, stop.signal])
  try {
    const taken = takenNames(manifest.known)
    await rm(join(folder, UNFINISHED), { recursive: true, force: true })
    await mkdir(join(folder, UNFINISHED))
    for await (const page of chosenAssets(db, selection, template)) {
      if (until.aborted) break
      const files = await filesOf(db, page, manifest.known, taken)
      const archived = await archivedOf(placement, files)
      report.archived.push(...archived)
      const unreadable = new Set(archived.map(({ objectId }) => objectId))
      const waiting = files.values()
      const work = async () => {
        for (const file of waiting) {
          if (until.aborted) return
          add(report.files, file.size)
          const isArchived = unreadable.has(file.objectId)
          await exportOne(placement, folder, file, {
            manifest,
            report,
            isArchived,
            signal: until,
            stop,
          })
          onProgress(report)
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, work))
    }
    if (signal.aborted) report.stoppedBy ??= 'interrupt'
    await writeSums(folder, manifest.known.values())
    await rm(join(folder, UNFINISHED), { recursive: true, force: true })
  } finally {
    await manifest.close()
  }
  return report
}

function emptyReport(): ExportReport {
  const none = () => ({ count: 0, bytes: 0 })
  return { files: none(), written: none(), there: none(), archived: [], failed: [], stoppedBy: null }
}

function add(amount: Amount, size: number): void {
  amount.count += 1
  amount.bytes += size
}

/** By folder, in lower case. */
function takenNames(known: ReadonlyMap<string, ManifestEntry>): Map<string, Set<string>> {
  const taken = new Map<string, Set<string>>()
  for (const { path } of known.values())
    takenIn(taken, dirname(path)).add(path.slice(dirname(path).length + 1).toLowerCase())
  return taken
}

function takenIn(taken: Map<string, Set<string>>, folder: string): Set<string> {
  const names = taken.get(folder) ?? new Set()
  taken.set(folder, names)
  return names
}

/** A photo that is in the manifest keeps its names. */
async function filesOf(
  db: Database,
  page: readonly ChosenAsset[],
  known: ReadonlyMap<string, ManifestEntry>,
  taken: Map<string, Set<string>>,
): Promise<ExportedFile[]> {
  const objectIds = page.flatMap((one) => [one.objectId, one.film?.objectId ?? [], one.sidecarObjectId ?? []])
  const objects = await listReceipts(db, objectIds.flat())
  return page.flatMap((asset) => {
    const pathOf = namesFor(asset, known, taken)
    const fileOf = (kind: ManifestEntry['kind'], objectId: string | null, name: string) => {
      const object = objectId === null ? undefined : objects.get(objectId)
      if (object === undefined) return []
      const { size, sha256 } = object
      const { id, takenAt, isFavorite, albums } = asset
      return [
        {
          ...{ path: pathOf(kind), size, sha256, kind, asset: id, name },
          ...{ takenAt: takenAt.toISOString(), isFavorite, albums, objectId: object.objectId },
        },
      ]
    }
    return [
      ...fileOf('original', asset.objectId, asset.name),
      ...fileOf('film', asset.film?.objectId ?? null, asset.film?.name ?? ''),
      ...fileOf('sidecar', asset.sidecarObjectId, `${asset.name}.xmp`),
    ]
  })
}

function namesFor(
  asset: ChosenAsset,
  known: ReadonlyMap<string, ManifestEntry>,
  taken: Map<string, Set<string>>,
): (kind: ManifestEntry['kind']) => string {
  let fresh: ReturnType<typeof namesOf> | null = null
  return (kind) => {
    const before = known.get(entryKey({ asset: asset.id, kind }))
    if (before !== undefined) return before.path
    fresh ??= namesOf(
      {
        original: asset.fileName,
        film: asset.film && safeName(asset.film.name, `${asset.id}.mov`),
        hasSidecar: asset.sidecarObjectId !== null,
      },
      takenIn(taken, asset.folder),
    )
    return `${asset.folder}/${fresh[kind]}`
  }
}

async function archivedOf(placement: Placement, files: readonly ExportedFile[]): Promise<ArchivedObject[]> {
  return archivedAmong(
    placement,
    files.map(({ objectId }) => objectId),
  )
}

type Writing = {
  manifest: Manifest
  report: ExportReport
  isArchived: boolean
  signal: AbortSignal
  stop: AbortController
}

async function exportOne(
  placement: Placement,
  folder: string,
  { objectId, ...entry }: ExportedFile,
  { manifest, report, isArchived, signal, stop }: Writing,
): Promise<void> {
  const before = manifest.known.get(entryKey(entry))
  if (before?.sha256 === entry.sha256 && (await sizeOf(join(folder, before.path))) === before.size)
    return add(report.there, entry.size)
  if (isArchived) return
  try {
    const unfinished = join(folder, UNFINISHED, entryKey(entry).replace(' ', '.'))
    const path = await placeOf(folder, entry)
    if (path.isThere) add(report.there, entry.size)
    else {
      await requireRoom(folder, entry.size)
      await fetchTo(placement, objectId, unfinished, { entry, signal })
      await putInPlace(unfinished, join(folder, path.path))
      add(report.written, entry.size)
    }
    await manifest.add({ ...entry, path: path.path })
  } catch (error) {
    if (signal.aborted) return
    if (isNoRoom(error)) {
      report.stoppedBy = 'no-room'
      return stop.abort(error)
    }
    if (!isAppError(error)) throw error
    report.failed.push({ path: entry.path, asset: entry.asset, reason: error.message })
  }
}

const noRoom = () => Object.assign(new Error('no room is left'), { code: 'ENOSPC' })
const isNoRoom = (error: unknown) =>
  ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')

/** 64 MiB stay free: a full disk harms others. */
const KEPT_FREE = 64 * 1024 ** 2

async function requireRoom(folder: string, size: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < size + KEPT_FREE) throw noRoom()
}

/** Null: there is none, or no file. */
async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await lstat(path)
    return found.isFile() ? found.size : null
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/**
 * Where the file goes: under its name, or where that is somebody else's, under the next free number. A file
 * with the very same bytes is the one that a kill kept from the manifest.
 */
async function placeOf(folder: string, entry: ManifestEntry): Promise<{ path: string; isThere: boolean }> {
  const extension = /\.[^./]{1,20}$/.exec(entry.path)?.[0] ?? ''
  const base = entry.path.slice(0, entry.path.length - extension.length)
  for (let number = 1; ; number += 1) {
    const path = number === 1 ? entry.path : `${base} [${number}]${extension}`
    const there = await lstat(join(folder, path)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    if (there === null) return { path, isThere: false }
    const isSame = there.isFile() && there.size === entry.size
    if (isSame && (await sha256Of(join(folder, path))) === entry.sha256) return { path, isThere: true }
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

/**
 * The read compares all bytes with the object's SHA-256; what was written is counted and hashed once more.
 */
async function fetchTo(
  placement: Placement,
  objectId: string,
  path: string,
  { entry, signal }: { entry: ManifestEntry; signal: AbortSignal },
): Promise<void> {
  const servable = await findServable(placement, objectId)
  const stream = await servable.open({ signal })
  const hash = createHash('sha256')
  let file: FileHandle | undefined
  try {
    file = await open(path, 'w', 0o600)
    for await (const chunk of stream) {
      signal.throwIfAborted()
      hash.update(chunk as Buffer)
      await file.writeFile(chunk as Buffer)
    }
    await file.datasync()
    const { size } = await file.stat()
    if (size !== entry.size || hash.digest('hex') !== entry.sha256)
      throw new AppError('corrupt', `${entry.name}: other bytes were written than those of the original`)
  } catch (error) {
    const isOfRead = stream.errored === error
    stream.destroy()
    await rm(path, { force: true })
    if (!isOfRead || isAppError(error)) throw error
    throw new AppError('unavailable', (error as Error).message, { cause: error })
  } finally {
    await file?.close()
  }
  const takenAt = new Date(entry.takenAt)
  await utimes(path, takenAt, takenAt)
}

/** Without writing over anything. @throws AppError conflict where somebody has made such a file meanwhile */
async function putInPlace(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  try {
    await link(from, to)
    await rm(from)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new AppError('conflict', `${to} was made by somebody else meanwhile`)
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error
    // A stick in exFAT has no links: an empty file of ours keeps the name until it is replaced.
    await (await open(to, 'wx', 0o600)).close()
    await rename(from, to)
  }
  const folder = await open(dirname(to))
  await folder.sync().finally(() => folder.close())
}
