/** What the configuration says of buckets, apart from how they are reached. */
import type { Config } from './config.ts'
import { forEachKind } from './placement/object-kinds.ts'
import type { ClassPolicy } from './placement/storage-classes.ts'

/** How often an installation may be the copy of a copy. */
const MAX_COPIES = 9

export type ConfiguredBucket = NonNullable<Config['storage']['s3']> | Config['storage']['buckets'][string]

/** Those of `storage.classes`. */
export function classesOf({ storage: { classes } }: Config): ClassPolicy {
  return rulesOf(classes)
}

/** Those of a bucket of its own; null: it has none, and those of `storage.classes` hold. */
export function ownClassesOf(settings: ConfiguredBucket): ClassPolicy | null {
  const classes = 'classes' in settings ? settings.classes : null
  return classes && rulesOf(classes)
}

function rulesOf(classes: Config['storage']['classes']): ClassPolicy {
  const kinds = forEachKind(({ configKey }) => classes[configKey])
  return Object.fromEntries(Object.entries(kinds).filter(([, rules]) => rules !== null))
}

/** What reaches the bucket, without the rules for what lies there. */
export function bucketOf(settings: ConfiguredBucket) {
  const { readOnly: _, scrub: __, classes: ___, ...bucket } = { classes: null, ...settings }
  return bucket
}

/** The ids of a bucket, in an original and in copies of copies. */
export function idsOf(name: string): string[] {
  return Array.from({ length: MAX_COPIES }, (_, index) => (index === 0 ? name : `${name}-${index + 1}`))
}
