import { Kysely, PostgresDialect } from 'kysely'
import type pg from 'pg'
import { becomeInstallation } from '../../database/backups/installation.ts'
import type { Schema } from '../../database/schema.ts'
import { beginCatalogueAdoption } from './adopt-catalogue.ts'

/**
 * In a database that was just set up: it is that of the installation from now on, and has the job that brings
 * back what its catalogue says. That waits until the locations were taken over.
 */
export async function beginRebuild(pool: pg.Pool, installation: string | null): Promise<void> {
  // The pool is its owner's to end.
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  if (installation !== null) await becomeInstallation(db, installation)
  await beginCatalogueAdoption(db, { isRebuild: true, isFresh: true, trashDeleted: false })
}
