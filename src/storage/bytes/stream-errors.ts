import type { Readable } from 'node:stream'

type Destroy = (error: Error | null, callback: (error?: Error | null) => void) => void

/**
 * Turns whatever error a stream ends in into one of ours, without a transform in between: one more stream
 * would handle every chunk of a proxied download once more. Only the moment of destruction is wrapped.
 */
export function mapStreamErrors<S extends Readable>(stream: S, toOurs: (error: Error) => Error): S {
  const destroy = stream._destroy.bind(stream) as Destroy
  stream._destroy = (error, callback) => {
    destroy(error, (failed) => callback(failed ? toOurs(failed) : failed))
  }
  return stream
}
