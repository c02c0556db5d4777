/** Configuration -> class rules by kind. */
import type { Config } from './config.ts'
import { forEachKind } from './placement/object-kinds.ts'
import type { ClassPolicy } from './placement/storage-classes.ts'

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
