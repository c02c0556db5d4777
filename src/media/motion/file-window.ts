import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/** Read at once: the blocks of a GIF have 255 bytes, and a film may lie behind a gigabyte. */
const WINDOW_BYTES = 64 * 1024

/** A file that is walked through by small pieces. */
export type FileWindow = Disposable & {
  size: number
  /** As many bytes as there are of `length`, 64 KiB at most. */
  read(at: number, length: number): Buffer
}

/** Runs in a media process, where nobody waits for the event loop. Throws what opening the file throws. */
export function openFileWindow(path: string): FileWindow {
  const file = openSync(path, 'r')
  const { size } = fstatSync(file)
  const buffer = Buffer.alloc(WINDOW_BYTES)
  let start = 0
  let end = 0
  return {
    size,
    read(at, length) {
      // Damaged files point anywhere.
      const wanted = at < 0 ? 0 : Math.min(length, WINDOW_BYTES, size - at)
      if (!(wanted > 0)) return Buffer.alloc(0)
      if (at < start || at + wanted > end) {
        start = at
        end = at + readSync(file, buffer, 0, WINDOW_BYTES, at)
      }
      return Buffer.from(buffer.subarray(at - start, Math.min(end, at + wanted) - start))
    },
    [Symbol.dispose]: () => closeSync(file),
  }
}
