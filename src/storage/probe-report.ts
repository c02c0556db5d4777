/** What a probe of a location finds, as it is stored, shown, and compared with the next one. */
import type { Features } from './backend.ts'
import type { ProbeCheck } from './probe-checks.ts'
import type { Traits } from './traits.ts'

/** Something to copy and paste that ends a problem: a policy, a rule, a command. Holds no secret. */
export type Paste = { title: string; text: string }
/**
 * One finding of a probe: what was tried, what came back, and, where it is a problem, the remedy. `critical`:
 * the location is not used as it is.
 */
export type ProbeFinding = {
  id: ProbeCheck
  /** The name for people. */
  check: string
  ok: boolean
  critical: boolean
  detail: string
  remedy?: string
  paste?: Paste[]
}
/**
 * Whether a browser reaches the location with presigned URLs, found out by a page of ours at that origin.
 * `why`: `cors`,
 * `policy` (ours), `mixed` (a page over HTTPS, a bucket over HTTP), `unreachable`, `refused`, `incomplete`.
 */
export type BrowserReach = {
  /** As in the Origin header: `https://photos.example.org`. */
  origin: string
  at: string
  reach: 'reachable' | 'blocked'
  why: 'cors' | 'policy' | 'mixed' | 'unreachable' | 'refused' | 'incomplete' | null
  /**
   * The page's put worked, and it could read the answer: all that an upload needs, also where the rest is
   * blocked.
   */
  canUpload: boolean
  detail: string
  remedy?: string
  paste?: Paste[]
}
/**
 * `features` is what the findings add up to; `latencyMs` is of one small round trip. `traits` are all single
 * answers, to be compared with those of the next probe. `browserReach` holds the newest result for each
 * origin; a probe of the server's leaves it alone.
 */
export type ProbeReport = {
  at: Date
  ok: boolean
  latencyMs: number
  features: Features
  findings: ProbeFinding[]
  traits?: Traits
  /** The encryption that it was made with, without secrets; absent: none was asked for. */
  encryption?: string
  browserReach?: BrowserReach[]
}
/** What a page's own probe needs of a location. Keys are the probe's, never those of objects. */
export type BrowserProbe = {
  /**
   * For the page: a put of exactly these bytes, and a get. They run out after `expiresInSeconds`.
   * `onlyIfAbsent` as in
   * `Presign`: CORS rules must allow that header as well.
   */
  sign(
    key: string,
    bytes: Buffer,
    options: { onlyIfAbsent: boolean },
  ): Promise<{
    put: { url: string; headers: Record<string, string> }
    get: { url: string }
    expiresInSeconds: number
  }>
  /** What the page put; null: nothing. */
  read(key: string): Promise<Buffer | null>
  /** Succeeds where nothing is. */
  remove(key: string): Promise<void>
  /** The remedy for a page that was blocked, and what to paste. */
  explain(origin: string, why: NonNullable<BrowserReach['why']>): Promise<{ remedy: string; paste?: Paste[] }>
  close(): void
}
export type ProbeOptions = {
  /** Origins of pages that are to reach the location with presigned URLs: their CORS rules are tried. */
  origins?: readonly string[]
  /** Whether objects are to be archived there: then restores are tried. */
  usesArchives?: boolean
  /** Told of every finding as it is made. */
  onFinding?(finding: ProbeFinding): void
}
