import { createHash } from 'node:crypto'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/database/embedded/embedded.ts'
import { readMigrations } from '../../../src/database/migrate.ts'
import { silentLog } from '../../../src/log.ts'
import { memoryFolder } from './memory-folder.ts'

/** Set by `tests/run.ts` for its children: the URL of the PostgreSQL that the run shares. */
export const TEST_POSTGRES_VARIABLE = 'GLASSINE_TEST_POSTGRES'

/**
 * It stays after the run, 150 MB, and the next one finds it. By the temporary folder: whoever has one of
 * their own has a server of their own.
 */
function folderOfPostgres(): string {
  const whose = createHash('sha256').update(tmpdir()).digest('hex').slice(0, 8)
  return join(memoryFolder(), `glassine-tests-${userInfo().uid}-${whose}`)
}

/**
 * Starts the shared server or finds it running. `stop()` stops it only when no other test process uses it.
 */
export function startTestPostgres(): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir: folderOfPostgres(), log: silentLog, durable: false })
}

/** The name of the template says which migrations made it. */
export async function templateName(): Promise<string> {
  const migrations = await readMigrations()
  const digest = createHash('sha256').update(migrations.map((migration) => migration.sha256).join())
  return `template_${digest.digest('hex').slice(0, 16)}`
}

/** Drops what killed test processes left, and the templates of other migrations. */
export async function dropLeftovers(url: string): Promise<void> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  try {
    const { rows } = await admin.query<{ datname: string }>(
      "select datname from pg_database where datname ~ '^(test_\\d+|template)_'",
    )
    const current = await templateName()
    for (const { datname } of rows) {
      if (datname !== current && !isInUse(datname))
        await admin.query(`drop database if exists ${datname} with (force)`)
    }
  } finally {
    await admin.end()
  }
}

function isInUse(database: string): boolean {
  const pid = Number(/^test_(\d+)_/.exec(database)?.[1])
  if (Number.isNaN(pid)) return false
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
