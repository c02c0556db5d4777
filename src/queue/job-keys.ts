/**
 * The key of a job says what it is about: of two jobs of one key, one runs. So that a key can't be mistaken,
 * nothing but this file writes one: `enqueue` takes it from the name and the payload, and so does every
 * question for a job.
 */
import { type RawBuilder, sql } from 'kysely'
import type { JobName, Jobs } from './job-types.ts'

/**
 * A payload whose fields are SQL expressions. Name the table in front of each column: it stands inside a
 * subquery.
 */
export type PayloadSql<Name extends JobName> = { [Field in keyof Jobs[Name]]: RawBuilder<unknown> }

/** How each key begins, and the fields of the payload that follow. */
const KEYS: { [Name in JobName]: readonly [begin: string, ...fields: (keyof Jobs[Name] & string)[]] } = {
  'process-asset': ['process', 'assetId'],
  'transcode-video': ['transcode', 'assetId'],
  'prove-upload': ['prove', 'uploadId'],
  'replicate-object': ['replicate', 'objectId', 'to'],
  'evict-replica': ['evict', 'objectId', 'from'],
  'purge-object': ['purge', 'objectId'],
  'change-class': ['class', 'objectId', 'at'],
  'restore-replica': ['restore', 'objectId', 'at'],
  'run-campaign': ['campaign', 'campaignId', 'worker'],
  'adopt-location': ['adopt', 'locationId'],
  'read-again': ['read', 'assetId'],
  'back-up-database': ['back-up-database'],
  'write-catalogue': ['recurring write-catalogue'],
  'adopt-catalogue': ['adopt-catalogue'],
  'check-backups': ['recurring check-backups'],
  'sweep-readings': ['recurring sweep-readings'],
  'make-memories': ['recurring make-memories'],
  'merge-counts': ['recurring merge-counts'],
  'name-places': ['recurring name-places'],
  'check-alerts': ['recurring check-alerts'],
  'deliver-notification': ['deliver', 'deliveryId'],
  'check-locations': ['recurring check-locations'],
  'sweep-placement': ['recurring sweep-placement'],
  'sweep-library': ['recurring sweep-library'],
  'sweep-classes': ['recurring sweep-classes'],
  'check-restores': ['recurring check-restores'],
  'check-listings': ['recurring check-listings'],
  'scrub-locations': ['recurring scrub-locations'],
  'extend-locks': ['recurring extend-locks'],
  'collect-strays': ['recurring collect-strays'],
}

/** As `purge:<object>`: the beginning of its name's keys, and its fields behind colons. */
export function jobKey<Name extends JobName>(name: Name, payload: Jobs[Name]): string {
  const [begin, ...fields] = KEYS[name]
  return [begin, ...fields.map((field) => String(payload[field as keyof Jobs[Name]]))].join(':')
}

/** The same as an SQL expression. */
export function jobKeySql<Name extends JobName>(name: Name, payload: PayloadSql<Name>): RawBuilder<string> {
  const [begin, ...fields] = KEYS[name]
  const parts = fields.map((field) => sql`':' || ${payload[field as keyof Jobs[Name]]}::text`)
  return sql<string>`(${sql.join([sql.lit(begin), ...parts], sql` || `)})`
}
