import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY_DISK = '/dev/shm'
/** What a run puts there takes less than one. */
const NEEDED_BYTES = 3 * 2 ** 30

/**
 * Where clusters of PostgreSQL lie that are thrown away after a test: in memory where there is room, else in
 * the temporary folder. A cluster is a thousand files, a database 330: 13 ms of CPU in memory, 100 on a disk.
 * Nothing here is about a loss of power.
 */
export function memoryFolder(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY_DISK)
    return Math.min(bavail * bsize, process.availableMemory()) < NEEDED_BYTES ? tmpdir() : MEMORY_DISK
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return tmpdir()
  }
}
