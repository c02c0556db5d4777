import { forEachKindKey, type KindKey } from '../placement/object-kinds.ts'
import { isArchiveClass } from '../placement/storage-classes.ts'
import { belongsInBucket, locationsOf } from './location-mistakes.ts'
import type { Mistake } from './mistakes.ts'
import type { ConfigFile } from './schema.ts'

type Storage = ConfigFile['storage']

const MAY_BE_ARCHIVED = forEachKindKey(({ mayBeArchived }) => mayBeArchived)

/**
 * What each field alone can't show: rules in the wrong order, archives for what must be readable at once,
 * rules for files that don't belong there.
 */
export function findClassMistakes(storage: Storage): Mistake[] {
  const homes = locationsOf(storage)
  return [
    ...mistakesIn(storage.classes, ['storage', 'classes'], (kind) =>
      belongsInBucket(storage, kind)
        ? null
        : {
            wrong: `${kind} belong on the disk, which has no storage classes`,
            right: `let storage.locations.${kind} name a bucket, or leave the classes out`,
          },
    ),
    ...Object.entries(storage.buckets).flatMap(([name, { classes }]) =>
      mistakesIn(classes ?? {}, ['storage', 'buckets', name, 'classes'], (kind) =>
        homes[kind].includes(name)
          ? null
          : {
              wrong: `${kind} do not belong in ${name}`,
              right: `name ${name} in storage.locations.${kind}, or leave these classes out`,
            },
      ),
    ),
  ]
}

function mistakesIn(
  classes: Partial<Storage['classes']>,
  above: string[],
  whyNotThere: (kind: KindKey) => Pick<Mistake, 'wrong' | 'right'> | null,
): Mistake[] {
  const mistakes: Mistake[] = []
  for (const [name, entry] of Object.entries(classes)) {
    if (entry === null) continue
    const kind = name as KindKey
    const path = [...above, kind]
    const misplaced = whyNotThere(kind)
    if (misplaced !== null) mistakes.push({ path, ...misplaced })
    const steps = [
      { path: [...path, 'class'], class: entry.class, olderThanDays: 0 },
      ...entry.rules.map((rule, at) => ({ ...rule, path: [...path, 'rules', String(at)] })),
    ]
    for (const [at, step] of steps.entries()) {
      const before = steps[at - 1]
      if (isArchiveClass(step.class) && !MAY_BE_ARCHIVED[kind]) {
        const right = 'choose a class that can be read at once, such as GLACIER_IR'
        mistakes.push({ path: step.path, wrong: 'this class must be restored before it is read', right })
      }
      if (before === undefined) continue
      if (step.olderThanDays <= before.olderThanDays) {
        const right = 'let olderThanDays grow from rule to rule'
        mistakes.push({
          path: step.path,
          wrong: 'this rule is not for older files than the one before it',
          right,
        })
      }
      if (isArchiveClass(before.class)) {
        const right = 'let the archive be the last one'
        const wrong = 'files leave the archive class before this rule only by a restore'
        mistakes.push({ path: step.path, wrong, right })
      }
    }
  }
  return mistakes
}
