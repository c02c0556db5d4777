/**
 * What was acknowledged, one line each, written by the process that is killed at the moment at which a client
 * would have its answer. A line that is written is there, however the process ends.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'

export type Acknowledged =
  /** An upload was answered with `created` or `duplicate`. */
  | { what: 'asset'; id: string; sha256: string }
  /** An object that was there before, without an asset. */
  | { what: 'object'; id: string; sha256: string }
  /** The confirmation of a direct upload was answered with `received`. */
  | { what: 'direct-upload'; id: string; sha256: string }
  /** A person asks for the deletion of an asset: from here on it may go. */
  | { what: 'deleting'; id: string }
  /** That was answered; `objectId`: of its original. */
  | { what: 'deleted'; id: string; objectId: string }

export type Manifest = { note(acknowledged: Acknowledged): void }

export function openManifest(path: string): Manifest {
  return { note: (acknowledged) => appendFileSync(path, `${JSON.stringify(acknowledged)}\n`) }
}

export function readManifest(path: string): Acknowledged[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Acknowledged)
}
