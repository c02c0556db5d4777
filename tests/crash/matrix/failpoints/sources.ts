/** Which files have failpoints: those of the folders that write, move, prove or remove what people have. */
import { globSync } from 'node:fs'
import { join } from 'node:path'

export const PROJECT = join(import.meta.dirname, '../../../..')

/** A new file in one of these has its failpoints by being there. */
export const INSTRUMENTED_FOLDERS = [
  'src/placement',
  'src/storage/disk',
  'src/storage/s3',
  'src/library/uploads',
  'src/library/direct-uploads',
  'src/database/backups',
  'src/cli/backups',
  'src/jobs/objects',
  'src/jobs/locations',
]
/** Of other folders: originals come in through the first two, and go through the others. */
export const INSTRUMENTED_FILES = [
  'src/library/incoming-files.ts',
  'src/library/assets/insert-asset.ts',
  'src/library/assets/trash.ts',
  'src/library/server/sweep.ts',
  'src/jobs/library/prove-upload.ts',
  'src/queue/enqueue.ts',
  'src/queue/worker/claimed-job.ts',
]

export function instrumentedFiles(): string[] {
  const inFolders = INSTRUMENTED_FOLDERS.flatMap((folder) => {
    const files = globSync(`${folder}/**/*.ts`, { cwd: PROJECT })
    if (files.length === 0)
      throw new Error(`${folder} has no files: correct tests/crash/matrix/failpoints/sources.ts`)
    return files
  })
  return [...inFolders, ...INSTRUMENTED_FILES].sort()
}
