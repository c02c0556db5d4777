/** What differs between two configurations, by the names of the keys; never a value. */
import type { Config } from '../config.ts'

/** Of `storage`: what a reload changes in a running process. Everything else takes effect at a start. */
export const RELOADED = [
  'default',
  's3',
  'buckets',
  'folders',
  'locations',
  'minCopies',
  'classes',
  'scrub',
  'campaigns',
] as const

/** Where the file has another name than `Config`; null: no key of the file by itself. */
const NAME_IN_FILE: Record<string, string | null> = {
  host: 'server.host',
  port: 'server.port',
  trustedProxies: 'server.trustedProxies',
  publicUrl: 'server.publicUrl',
  'notifications.publicUrl': null,
  dataDir: 'GLASSINE_DATA',
  configFile: 'GLASSINE_CONFIG',
  'storage.prices': 'storage.pricesFile',
  warnings: null,
  demonstrationBucket: null,
}

/** The keys that have changed and that need a restart, dotted as in the file, in its order. */
export function keysForRestart(before: Config, after: Config): string[] {
  return differences(before, after, [])
}

function differences(before: unknown, after: unknown, path: string[]): string[] {
  const key = path.join('.')
  if (path[0] === 'storage' && (RELOADED as readonly string[]).includes(path[1] ?? '')) return []
  const name = NAME_IN_FILE[key]
  if (name === null) return []
  if (isSection(before) && isSection(after) && name === undefined)
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((inner) =>
      differences(before[inner], after[inner], [...path, inner]),
    )
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [name ?? key]
}

function isSection(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
