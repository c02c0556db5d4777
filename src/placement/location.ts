import type { ObjectKind } from '../database/schema.ts'
import type { StorageBackend } from '../storage/backend.ts'
import type { Breaker } from '../storage/guards/breaker.ts'
import type { Uses } from '../storage/guards/count-uses.ts'
import type { BrowserProbe, ProbeOptions, ProbeReport } from '../storage/probe-report.ts'
import type { ClassPolicy } from './storage-classes.ts'

/**
 * A configured location and the code that reaches it. `identity` names the real disk or bucket, without
 * secrets.
 */
export type Location = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  /** For people: a folder, or a bucket and its endpoint. */
  label: string
  identity: string
  /** The demonstration bucket: works, but is no safer than the disk it lies on. */
  isDemonstration: boolean
  /** Of a folder: the configuration says that its disk is not in this machine. */
  isOnAnotherMachine?: boolean
  /**
   * The configuration says under which address everybody reaches it: its signed URLs are good for every
   * client.
   */
  hasPublicAddress?: boolean
  /** Whose prices apply there: a name of the price list. Absent: no known prices. */
  provider?: string
  /**
   * It is read, but never written to: nothing belongs there, and no other copy is given up for what it holds,
   * since whoever may write there can remove it without our counter telling. Its backend refuses writes
   * (`withoutWrites`).
   */
  isReadOnly?: boolean
  /**
   * How the configuration asks a bucket to encrypt what is put there, without secrets; absent: not at all. A
   * probe that was made with another one says nothing of it.
   */
  encryption?: string
  /**
   * What is put there is encrypted with a key that another service keeps (SSE-KMS): that it is there does not
   * say that it can be read.
   */
  isKeyElsewhere?: boolean
  /** Read-only, because it belongs to another installation, of which this one is a copy. */
  isOfOriginal?: boolean
  /** Of a bucket with Object Lock: for how many days the files of each kind are locked there. */
  lock?: { mode: 'governance' | 'compliance'; days: { readonly [Kind in ObjectKind]?: number } }
  /** The class rules of this bucket; absent: those of the placement. */
  classes?: ClassPolicy
  /**
   * What may be read there each month for scrubbing, the tighter of both; `bytes` null: as at every bucket.
   * `money`, by the price list, in the currency of its provider; null: no limit.
   */
  scrub?: { bytes: number | null; money: number | null }
  backend: StorageBackend
  /** Whether somebody uses the backend now; absent where it is never closed before the process ends. */
  uses?: Uses
  /** Of a folder: how much room its disk has. */
  space?(): Promise<{ freeBytes: number; totalBytes: number }>
  /** Stands before the backend of a place that can be away; absent at the media volume. */
  breaker?: Breaker
  probe(options?: ProbeOptions): Promise<ProbeReport>
  /** Where browsers can be given presigned URLs: what a page's own probe needs. The caller closes it. */
  openBrowserProbe?(): Promise<BrowserProbe>
}

/**
 * Whether what it holds outlives this machine. Of a folder the configuration has to say so, since a mount
 * tells nothing of where its disk stands.
 */
export function isAway({ kind, isDemonstration, isOnAnotherMachine }: Location): boolean {
  return kind === 'disk' ? isOnAnotherMachine === true : !isDemonstration
}

/** Why nothing is written there; goes after the name of the location. */
export function whyReadOnly({ isOfOriginal }: Pick<Location, 'isOfOriginal'>): string {
  return isOfOriginal
    ? 'belongs to another installation: this one only reads there'
    : 'is read-only by the configuration (readOnly)'
}

/** The rules for the storage classes of what lies at a location. */
export function classesAt(
  { locations, classes }: { locations: ReadonlyMap<string, Location>; classes: ClassPolicy },
  locationId: string,
): ClassPolicy {
  return locations.get(locationId)?.classes ?? classes
}

/** The ids of all locations where nothing is written. */
export function readOnlyIds({ locations }: { locations: ReadonlyMap<string, Location> }): string[] {
  return [...locations.values()].flatMap(({ id, isReadOnly }) => (isReadOnly ? [id] : []))
}

/** The name of a bucket in the configuration. A number at the end of its id counts copies of copies. */
export function bucketNameOf(locationId: string): string {
  return locationId.replace(/-\d+$/, '')
}

/** Where the configuration describes a bucket. */
export function configKeyOf(locationId: string): string {
  const name = bucketNameOf(locationId)
  return name === 's3' ? 'storage.s3' : `storage.buckets.${name}`
}
