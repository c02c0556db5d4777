/** What contradicts in `storage.locations`, `buckets`, `folders` and `minCopies`; types are the schema's. */
import { relative, resolve } from 'node:path'
import { forEachKindKey, type KindKey } from '../placement/object-kinds.ts'
import { closestName, type Mistake } from './mistakes.ts'
import type { ConfigFile } from './schema.ts'

type Storage = ConfigFile['storage']

/** Where the files of each kind belong. */
export function locationsOf({
  locations,
  default: forOriginals,
}: Pick<Storage, 'locations' | 'default'>): Record<KindKey, string[]> {
  const originals = locations.originals ?? forOriginals
  return {
    ...locations,
    originals,
    databaseBackups: locations.databaseBackups ?? originals,
    catalogue: locations.catalogue ?? originals,
  }
}

/** Whether files of the kind belong in a bucket, be it among other places. */
export function belongsInBucket(storage: Storage, kind: KindKey): boolean {
  return locationsOf(storage)[kind].some((name) => name === 's3' || name in storage.buckets)
}

/**
 * @param mediaLocation absolute
 * @param areRight whether nothing was wrong by itself in these sections of `storage`
 */
export function findLocationMistakes(
  storage: Storage,
  mediaLocation: string,
  areRight: (...sections: string[]) => boolean,
): Mistake[] {
  const areNamesRight = areRight('buckets', 'folders', 'locations', 'default')
  return [
    ...(areNamesRight ? unknownNames(storage) : []),
    ...(areRight('s3') && areNamesRight ? [...missingBucket(storage), ...readOnlyHomes(storage)] : []),
    ...(areRight('buckets', 'folders') ? namedTwice(storage) : []),
    ...(areRight('s3', 'buckets') ? [...sameBucket(storage), ...emptyLocks(storage)] : []),
    ...(areRight('local', 'folders') ? overlappingFolders(storage, mediaLocation) : []),
    ...(areRight('minCopies') && areNamesRight ? tooManyCopies(storage) : []),
  ]
}

function unknownNames(storage: Storage): Mistake[] {
  const known = ['local', 's3', ...Object.keys(storage.buckets), ...Object.keys(storage.folders)]
  return namesOf(storage).flatMap(({ path, names }) =>
    names
      .filter((name) => !known.includes(name))
      .map((name) => {
        const meant = closestName(name, known)
        const right = meant === null ? `write one of ${known.join(', ')}` : `did you mean ${meant}?`
        return { path, wrong: 'there is no location of this name', right }
      }),
  )
}

/** The demonstration bucket beside a real one would only confuse. */
function missingBucket(storage: Storage): Mistake[] {
  const others = Object.keys(storage.buckets)
  if (storage.s3 !== null || others.length === 0) return []
  return namesOf(storage)
    .filter(({ names }) => names.includes('s3'))
    .map(({ path }) => ({
      path,
      wrong: 'this is s3, and there is no storage.s3',
      right: `describe that bucket, or name ${others.join(' or ')} instead`,
    }))
}

/** Nothing would ever come there, and files of this kind would wait for their copy without end. */
function readOnlyHomes(storage: Storage): Mistake[] {
  const isReadOnly = (name: string) =>
    (name === 's3' ? storage.s3 : (storage.buckets[name] ?? storage.folders[name]))?.readOnly === true
  return namesOf(storage).flatMap(({ path, names }) =>
    names.filter(isReadOnly).map((name) => ({
      path,
      wrong: `${name} is read-only (readOnly), so that nothing can be put there`,
      right: `name locations without readOnly only; what ${name} holds is read all the same`,
    })),
  )
}

/** What counts of `storage.locations` and `storage.default`. */
function namesOf({ locations, default: forOriginals }: Storage): { path: string[]; names: string[] }[] {
  const lists = forEachKindKey(({ configKey }) => ({
    path: ['storage', 'locations', configKey],
    names: locations[configKey] ?? [],
  }))
  const rest = locations.originals === null ? [{ path: ['storage', 'default'], names: forOriginals }] : []
  return [...Object.values(lists), ...rest]
}

function namedTwice({ buckets, folders }: Storage): Mistake[] {
  return Object.keys(folders)
    .filter((name) => name in buckets)
    .map((name) => ({
      path: ['storage', 'folders', name],
      wrong: 'a bucket has this name already',
      right: 'give the folder another name',
    }))
}

/** Two locations at one place would take each other for another installation. */
function sameBucket({ s3, buckets }: Storage): Mistake[] {
  const seen = new Map<string, string>()
  const mistakes: Mistake[] = []
  const all = [...(s3 === null ? [] : [['s3', s3] as const]), ...Object.entries(buckets)]
  for (const [name, { endpoint, region, bucket, prefix }] of all) {
    const place = `${endpoint ?? `aws:${region}`} ${bucket}/${prefix}`
    const first = seen.get(place)
    seen.set(place, name)
    if (first === undefined) continue
    const right = 'name another bucket, or another prefix'
    mistakes.push({ path: ['storage', 'buckets', name], wrong: `this is the place of ${first}`, right })
  }
  return mistakes
}

/** Object Lock that locks nothing is a mistake that nobody would notice before it is too late. */
function emptyLocks({ s3, buckets }: Storage): Mistake[] {
  const all = [
    ...(s3 === null ? [] : [{ path: ['storage', 's3'], bucket: s3 }]),
    ...Object.entries(buckets).map(([name, bucket]) => ({ path: ['storage', 'buckets', name], bucket })),
  ]
  return all
    .filter(({ bucket: { objectLock } }) => objectLock !== null)
    .filter(({ bucket }) => Object.values(bucket.objectLock!.retentionDays).every((days) => days === null))
    .map(({ path }) => ({
      path: [...path, 'objectLock', 'retentionDays'],
      wrong: 'no files are named here, so that nothing would be locked',
      right: 'write for which files and how many days, such as { originals: 30, databaseBackups: 30 }',
    }))
}

function overlappingFolders({ folders }: Storage, mediaLocation: string): Mistake[] {
  const seen: [string, string][] = [['the media location', mediaLocation]]
  const mistakes: Mistake[] = []
  for (const [name, { path }] of Object.entries(folders)) {
    const folder = resolve(path)
    const other = seen.find(([, one]) => contains(one, folder) || contains(folder, one))
    seen.push([`storage.folders.${name}`, folder])
    if (other === undefined) continue
    mistakes.push({
      path: ['storage', 'folders', name, 'path'],
      wrong: `this folder and that of ${other[0]} lie in one another`,
      right: 'name a folder of its own, best on another disk',
    })
  }
  return mistakes
}

function contains(outer: string, inner: string): boolean {
  const way = relative(outer, inner)
  return way === '' || !(way === '..' || way.startsWith('../'))
}

function tooManyCopies(storage: Storage): Mistake[] {
  const locations = locationsOf(storage)
  const mistakes: Mistake[] = []
  for (const [kind, wanted] of Object.entries(storage.minCopies)) {
    const names = locations[kind as KindKey]
    if (wanted === null || wanted <= names.length) continue
    mistakes.push({
      path: ['storage', 'minCopies', kind],
      wrong: `${kind} belong at ${names.length === 1 ? 'one location' : `${names.length} locations`} only`,
      right: `write at most ${names.length}, or name more in storage.locations.${kind}`,
    })
  }
  return mistakes
}
