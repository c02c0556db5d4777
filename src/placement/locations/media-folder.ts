import { mkdir } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import type { Placement } from '../placement.ts'

/**
 * Makes a folder on the media volume. Where its mount is gone, that would be on the disk beneath: then it
 * throws
 * `unavailable`. Asked only when a folder is missing, so that it costs an upload nothing.
 */
export async function makeMediaFolder(
  placement: Pick<Placement, 'local' | 'mediaLocation'>,
  path: string,
): Promise<void> {
  if ((await placement.local.backend.readMarker()) === null) {
    throw new AppError(
      'unavailable',
      'The media location does not hold its marker: its disk has to be mounted again',
    )
  }
  await mkdir(path, { recursive: true, mode: 0o700 })
}
