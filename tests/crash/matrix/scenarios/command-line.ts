/** What `bin/run-admin.ts` gives to a command, on an installation of the matrix; what it says is not kept. */
import type pg from 'pg'
import type { CliContext } from '../../../../src/cli/context.ts'
import { styleFor } from '../../../../src/cli/text.ts'
import { assertEmptyDatabase } from '../../../../src/database/backups/load-backup.ts'
import { connectDatabase } from '../../../../src/database/connect.ts'
import { jobHandlers } from '../../../../src/jobs/index.ts'
import { silentLog } from '../../../../src/log.ts'
import type { MediaTools } from '../../../../src/media/processes/tools.ts'
import { startWorker, type Worker } from '../../../../src/queue/worker/worker.ts'
import { mediaOf, openLocationsOf, openSite, type Site, type SiteSetup } from '../site.ts'

export function commandLineOf(setup: SiteSetup, mediaTools: MediaTools): CliContext {
  const config = { dataDir: setup.folder, storage: { local: { mediaLocation: mediaOf(setup) } } } as never

  async function withSite<T>(use: (site: Site) => Promise<T>): Promise<T> {
    const site = await openSite(setup)
    try {
      return await use(site)
    } finally {
      await site.close()
    }
  }
  async function withAny<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T> {
    const { pool } = connectDatabase(setup.databaseUrl, silentLog, { maxConnections: 4 })
    try {
      return await use(pool)
    } finally {
      await pool.end()
    }
  }
  const withEmpty = <T>(use: (pool: pg.Pool) => Promise<T>): Promise<T> =>
    withAny(async (pool) => {
      await assertEmptyDatabase(pool)
      return use(pool)
    })

  return {
    print: () => undefined,
    progress: () => undefined,
    style: styleFor(false, true),
    withDatabase: (use) => withSite(({ db, pool }) => use(db, config, pool)),
    withPlacement: (use) => withSite(({ placement }) => use(placement, config)),
    withoutLedger(use) {
      const { local, bucket } = openLocationsOf(setup)
      const locations = new Map([local, bucket].map((location) => [location.id, location]))
      const assertNoInstallation = () => withEmpty(async () => undefined)
      const withScratch = async () => {
        throw new Error('no scenario makes a restore drill')
      }
      return use({ config, locations, assertNoInstallation, withAny, withEmpty, withScratch })
    },
    withWorker: (use) =>
      withSite(async ({ placement, db, pool }) => {
        const workers: Worker[] = []
        const media = { thumbnailPx: 64, previewPx: 96 }
        try {
          return await use(placement, async (only) => {
            const handlers = jobHandlers({ config: { media }, log: silentLog, db, placement, mediaTools })
            const worker = await startWorker({
              ...{ pool, db, handlers, only, log: silentLog },
              concurrency: { processing: 1, video: 1, storage: 1 },
              backOff: { quickTries: 3, quickDelayMs: 100 },
            })
            workers.push(worker)
            return { stop: () => worker.stop(0) }
          })
        } finally {
          for (const worker of workers) await worker.stop(0)
        }
      }),
    explain: String,
    untilInterrupted: () => new AbortController().signal,
    isTerminal: false,
    input: {
      isTerminal: false,
      readAll: async () => '',
      ask: async () => '',
      askHidden: async () => '',
    },
  }
}
