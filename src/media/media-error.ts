/**
 * A file that cannot be made into pictures, with a reason written for its owner ("The file is empty."). The file
 * itself is kept and served as it is.
 *
 * `transient` is true where the file may be innocent: the decoder was killed, ran out of time, or the server is
 * stopping. Trying again later can help then; otherwise the same file fails the same way for ever.
 */
export class MediaError extends Error {
  readonly reason: string
  readonly transient: boolean

  constructor(reason: string, options?: { cause?: unknown; transient?: boolean }) {
    super(reason, options?.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MediaError'
    this.reason = reason
    this.transient = options?.transient ?? false
  }
}
