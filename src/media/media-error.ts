/**
 * Whose fault it is that a file became no pictures:
 *
 * - `file`: it is damaged or no picture; the same file fails the same way for ever.
 * - `exhausted`: its decoder took too much time or memory, or died. The file may be innocent (a machine that
 * is out of
 *   memory), so that it is tried once more; then it is given up.
 * - `interrupted`: the server is stopping or its decoder does not start. That says nothing about the file.
 */
export type MediaFault = 'file' | 'exhausted' | 'interrupted'

/**
 * A file that cannot be made into pictures, with a reason written for its owner ("The file is empty."). The
 * file itself is kept and served as it is.
 */
export class MediaError extends Error {
  readonly reason: string
  readonly fault: MediaFault

  constructor(reason: string, options?: { cause?: unknown; fault?: MediaFault }) {
    super(reason, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MediaError'
    this.reason = reason
    this.fault = options?.fault ?? 'file'
  }

  /** Trying again later can help. */
  get transient(): boolean {
    return this.fault !== 'file'
  }
}
