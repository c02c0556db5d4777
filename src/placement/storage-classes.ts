/**
 * Storage classes as data, and which one an object belongs in. Pure: no database, no bytes.
 *
 * Words: a *class* is what a location keeps an object in, by its S3 name. An *archive class* holds objects
 * that must be restored before they can be read. *Minimum days*: an object that leaves its class sooner is
 * billed for that long all the same, so it stays. *Minimum bytes*: a smaller one is billed as if it had so
 * many, so it is kept in STANDARD.
 */
import type { ObjectKind } from '../database/schema.ts'
import type { RestoreTier } from '../storage/backend.ts'

export type { RestoreTier }

export type StorageClass = {
  name: string
  minDays: number
  minBytes: number
  /** How many minutes a restore by each tier typically takes at most; null: readable at once. */
  restoreMinutes: RestoreMinutes | null
}
export type RestoreMinutes = Partial<Record<RestoreTier, number>>

const KIB = 1024
/** The class in which a location keeps an object when no other was named. */
export const ORDINARY_CLASS = 'STANDARD'
const ORDINARY: StorageClass = { name: ORDINARY_CLASS, minDays: 0, minBytes: 0, restoreMinutes: null }

/**
 * As Amazon S3 has them. Times:
 * docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html (typical ones;
 * expedited ones of 250 MB and more take longer). Minimum durations and sizes: aws.amazon.com/s3/pricing, as
 * quoted in June 2026 (usage.ai, cloudcostkit.com). All looked up in November 2026. Cloudflare R2 has
 * STANDARD_IA with the same 30 days and no minimum size
 * (developers.cloudflare.com/r2/buckets/storage-classes), Scaleway ONEZONE_IA and GLACIER; a service refuses
 * the name of a class that it does not have. For GLACIER and DEEP_ARCHIVE no minimum size is billed, but 40
 * KB beside each object: small ones cost more there than they save, so the same 128 KiB are our own rule for
 * them.
 */
export const STORAGE_CLASSES: readonly StorageClass[] = [
  ORDINARY,
  { name: 'STANDARD_IA', minDays: 30, minBytes: 128 * KIB, restoreMinutes: null },
  { name: 'ONEZONE_IA', minDays: 30, minBytes: 128 * KIB, restoreMinutes: null },
  { name: 'INTELLIGENT_TIERING', minDays: 0, minBytes: 128 * KIB, restoreMinutes: null },
  { name: 'GLACIER_IR', minDays: 90, minBytes: 128 * KIB, restoreMinutes: null },
  {
    name: 'GLACIER',
    minDays: 90,
    minBytes: 128 * KIB,
    restoreMinutes: { expedited: 5, standard: 5 * 60, bulk: 12 * 60 },
  },
  {
    name: 'DEEP_ARCHIVE',
    minDays: 180,
    minBytes: 128 * KIB,
    restoreMinutes: { standard: 12 * 60, bulk: 48 * 60 },
  },
]

/**
 * Where a provider's archives have other tiers and times than Amazon's. Scaleway names neither tiers nor a
 * limit: "from a few minutes to 24 hours"
 * (scaleway.com/en/docs/object-storage/how-to/restore-an-object-from-glacier, July 2025).
 */
const OTHER_RESTORES: Record<string, Record<string, RestoreMinutes>> = {
  scaleway: { GLACIER: { standard: 24 * 60 } },
}

/**
 * The tiers by which a class is restored at a provider (a name of the table of providers), and how long each
 * takes.
 */
export function restoresOf(provider: string | undefined, storageClass: string | null): RestoreMinutes {
  const { name, restoreMinutes } = classOf(storageClass)
  return OTHER_RESTORES[provider ?? '']?.[name] ?? restoreMinutes ?? {}
}

const DAY_MS = 24 * 3_600_000

/**
 * The class of that name; null is the ordinary one. An unknown name, to be cautious, also means the ordinary
 * one.
 */
export function classOf(name: string | null): StorageClass {
  return STORAGE_CLASSES.find((one) => one.name === name) ?? ORDINARY
}

/** Must an object in it be restored before it can be read? */
export function isArchiveClass(name: string | null): boolean {
  return classOf(name).restoreMinutes !== null
}

export const ARCHIVE_CLASSES = STORAGE_CLASSES.filter(({ restoreMinutes }) => restoreMinutes !== null).map(
  ({ name }) => name,
)

/** The class of fresh objects of a kind, and those for older ones, the youngest age first. */
export type ClassRules = {
  class: string
  rules: readonly { olderThanDays: number; class: string }[]
}
/** Kinds that are absent stay in the ordinary class. */
export type ClassPolicy = { readonly [Kind in ObjectKind]?: ClassRules }

/** Whether any rule ends in an archive class. */
export function usesArchives(classes: ClassPolicy): boolean {
  return Object.values(classes).some((one) =>
    [one.class, ...one.rules.map((rule) => rule.class)].some(isArchiveClass),
  )
}

/**
 * The class that an object belongs in: of the last rule that is for its age, or of an earlier one where it is
 * too small for that. `isAllowed` leaves out classes that can't be had for it.
 */
export function wantedClass(
  { class: fresh, rules }: ClassRules,
  object: { size: number; createdAt: Date },
  now: Date,
  isAllowed: (name: string) => boolean = () => true,
): string {
  const ageDays = (now.getTime() - object.createdAt.getTime()) / DAY_MS
  const due = [fresh, ...rules.filter((rule) => ageDays >= rule.olderThanDays).map((rule) => rule.class)]
  const fits = (name: string) => object.size >= classOf(name).minBytes && isAllowed(name)
  return due.findLast(fits) ?? ORDINARY_CLASS
}

export type KeptReplica = { storageClass: string | null; classSince: Date; isReadable: boolean }

/**
 * What the rules make of a replica. `tooSoon`: it goes when its class has been paid for (`at`). `archived`:
 * it would have to be restored first.
 */
export type ClassStep =
  | { do: 'stay' }
  | { do: 'change'; to: string }
  | { do: 'wait'; to: string; why: 'too-soon'; at: Date }
  | { do: 'wait'; to: string; why: 'archived' }

/** The step that the rules ask for now. */
export function classStep(
  rules: ClassRules | undefined,
  object: { size: number; createdAt: Date },
  replica: KeptReplica,
  now: Date,
): ClassStep {
  if (rules === undefined) return { do: 'stay' }
  const to = wantedClass(rules, object, now)
  const from = replica.storageClass ?? ORDINARY_CLASS
  if (to === from) return { do: 'stay' }
  if (!replica.isReadable) return { do: 'wait', to, why: 'archived' }
  const paidAt = new Date(replica.classSince.getTime() + classOf(from).minDays * DAY_MS)
  return paidAt > now ? { do: 'wait', to, why: 'too-soon', at: paidAt } : { do: 'change', to }
}
