/** What an API key may do: in words, and as a choice. Pure. */
import { PERMISSIONS } from '../../../../src/library/credentials/permissions.ts'
import { plural } from '../format.ts'

type Preset = { label: string; permissions: readonly string[] }

export const PRESETS: Record<'all' | 'look' | 'upload', Preset> = {
  all: { label: 'Everything that you can', permissions: ['all'] },
  look: {
    label: 'Look and download',
    permissions: [
      'album.download',
      'album.read',
      'album.statistics',
      'asset.download',
      'asset.read',
      'asset.statistics',
      'asset.view',
      'map.read',
      'memory.read',
      'person.read',
      'server.about',
      'stack.read',
      'tag.read',
      'timeline.download',
      'timeline.read',
      'user.read',
      'userProfileImage.read',
    ],
  },
  // What Immich's command line needs, albums made from folders included.
  upload: {
    label: 'Upload, also into albums',
    permissions: [
      'album.create',
      'album.read',
      'albumAsset.create',
      'asset.statistics',
      'asset.upload',
      'server.about',
      'user.read',
    ],
  },
}

/** All that can be chosen one by one, by what each is about; `all` is none of them. */
export const PERMISSION_GROUPS: { about: string; permissions: { name: string; action: string }[] }[] = [
  ...Map.groupBy(
    PERMISSIONS.filter((name) => name !== 'all'),
    (name) => name.split('.')[0]!,
  ),
].map(([resource, names]) => ({
  about: inWords(resource),
  permissions: names.map((name) => ({ name, action: inWords(name.slice(resource.length + 1)) || 'use' })),
}))

/** `What a key may do` in a table. */
export function permissionWords(permissions: readonly string[]): string {
  if (permissions.includes('all')) return PRESETS.all.label
  const preset = Object.values(PRESETS).find((candidate) => isSame(candidate.permissions, permissions))
  return preset?.label ?? plural(permissions.length, 'permission')
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === new Set(others).size && some.every((name) => others.includes(name))
}

/** `albumAsset` as `album asset`, `edit.get` as `edit: get`. */
function inWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace('.', ': ')
}
