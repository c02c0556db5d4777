import { statfs } from 'node:fs/promises'

/** Immich's `ServerStorageResponseDto`. `…Raw` in bytes, percentage 0 to 100 with two decimals. */
export type DiskSpace = {
  diskSize: string
  diskSizeRaw: number
  diskUse: string
  diskUseRaw: number
  diskAvailable: string
  diskAvailableRaw: number
  diskUsagePercentage: number
}

/**
 * The file system that uploads land on. It stays the local disk where originals live in a bucket: that one
 * has no size of its own, and a full disk is what stops uploads. What lies where is `storageStatus`.
 */
export async function diskSpace(mediaLocation: string): Promise<DiskSpace> {
  const { blocks, bfree, bavail, bsize } = await statfs(mediaLocation)
  const size = blocks * bsize
  const used = (blocks - bfree) * bsize
  // What root keeps for itself is neither used nor available to us.
  const available = bavail * bsize
  const reachable = used + available
  return {
    diskSize: formatBytes(size),
    diskSizeRaw: size,
    diskUse: formatBytes(used),
    diskUseRaw: used,
    diskAvailable: formatBytes(available),
    diskAvailableRaw: available,
    diskUsagePercentage: reachable === 0 ? 0 : Math.round((used / reachable) * 10_000) / 100,
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** 1,536 -> `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), UNITS.length - 1)
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`
}
