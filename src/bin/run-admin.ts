import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text as readText } from 'node:stream/consumers'
import type pg from 'pg'
import type { App } from '../app.ts'
import type { CliContext, PartsWithoutLedger } from '../cli/context.ts'
import { runCommand } from '../cli/program.ts'
import { styleFor } from '../cli/text.ts'
import type { Config } from '../config.ts'
import { holdsCluster } from '../data-folder.ts'
import type { Log } from '../log.ts'
import type { OpenOptions } from '../open-database.ts'
import type { Worker } from '../queue/worker/worker.ts'
import { explain } from './explain.ts'

/**
 * The command line. Whatever only some commands need is loaded when they do, so that help and mistakes are
 * told at once. @returns the exit code
 */
export async function runAdmin(argv: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const isTerminal = process.stdout.isTTY === true
  const noColor = env.NO_COLOR !== undefined && env.NO_COLOR !== ''
  const printError = (text: string) => process.stderr.write(`${text}\n`)
  const log = terminalLog(printError)

  const readConfig = async () => (await import('../config.ts')).loadConfig(env)
  const openDatabase = async (config: Config, options: OpenOptions) =>
    (await import('../open-database.ts')).openDatabase(config, log, options)
  const openApp = async (): Promise<App> => {
    const config = await readConfig()
    return (await import('../app.ts')).buildApp(config, log, { mustExist: true })
  }

  const context: CliContext = {
    print: (text) => process.stdout.write(`${text}\n`),
    progress: (text) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
    },
    style: styleFor(isTerminal, noColor),
    async withDatabase(use, { mayCreate = false } = {}) {
      const config = await readConfig()
      const database = await openDatabase(config, { mustExist: !mayCreate })
      try {
        return await use(database.db, config, database.pool)
      } finally {
        await database.close()
      }
    },
    async withoutLedger(use) {
      const config = await readConfig()
      const { openLocationsAlone } = await import('../open-locations.ts')
      const { locations, close } = await openLocationsAlone(config, log)
      const withAny = async <T>(useAny: (pool: pg.Pool) => Promise<T>) => {
        const database = await openDatabase(config, { isToBeRestored: true })
        try {
          return await useAny(database.pool)
        } finally {
          await database.close()
        }
      }
      const withEmpty = <T>(useEmpty: (pool: pg.Pool) => Promise<T>) =>
        withAny(async (pool) => {
          const { assertEmptyDatabase } = await import('../database/backups/load-backup.ts')
          await assertEmptyDatabase(pool)
          return useEmpty(pool)
        })
      const withScratch: PartsWithoutLedger['withScratch'] = async (useScratch) => {
        const { withScratchDatabase } = await import('../database/scratch.ts')
        const database = await openDatabase(config, { mustExist: true })
        try {
          return await withScratchDatabase(database.pool, log, (scratch) => useScratch(scratch, database.db))
        } finally {
          await database.close()
        }
      }
      const assertNoInstallation = async () => {
        if (config.database.url === null && !(await holdsCluster(config.dataDir))) return
        await withEmpty(async () => undefined)
      }
      try {
        return await use({ config, locations, assertNoInstallation, withAny, withEmpty, withScratch })
      } finally {
        await close()
      }
    },
    async withPlacement(use) {
      const app = await openApp()
      try {
        return await use(app.placement, app.config)
      } finally {
        await app.close()
      }
    },
    async withWorker(use) {
      const app = await openApp()
      const workers: Worker[] = []
      try {
        return await use(app.placement, async (names) => {
          const { startWorkerOf } = await import('./start-worker.ts')
          const worker = await startWorkerOf(app, names)
          workers.push(worker)
          return { stop: () => worker.stop(0) }
        })
      } finally {
        for (const worker of workers) await worker.stop(0)
        await app.close()
      }
    },
    explain,
    untilInterrupted() {
      const interrupt = new AbortController()
      process.once('SIGINT', () => interrupt.abort())
      return interrupt.signal
    },
    isTerminal,
    input: {
      isTerminal: process.stdin.isTTY === true,
      ask,
      readAll: () => readText(process.stdin),
      askHidden,
    },
  }
  return runCommand(argv, context, printError)
}

/**
 * A person reads this, not a collector of logs: warnings as sentences, each once, the rest not at all. Of a
 * location that has lost sixty files it is said once that one is bad; the command tells how many.
 */
function terminalLog(printError: (text: string) => void): Log {
  const told = new Set<string>()
  const tell = (fields: object, message: string) => {
    const { location, error, reason } = fields as Record<string, unknown>
    const where = typeof location === 'string' ? `${location}: ` : ''
    const why = [error, reason].find((text) => typeof text === 'string')
    const sentence = `${where}${message}${why === undefined ? '' : `: ${why}`}`
    if (told.has(sentence)) return
    told.add(sentence)
    printError(sentence)
  }
  return { debug() {}, info() {}, warn: tell, error: tell }
}

/** Asks on the terminal; what is typed is seen. */
async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await lines.question(question)
  } finally {
    lines.close()
  }
}

/** Asks on the terminal without showing what is typed. */
async function askHidden(question: string): Promise<string> {
  process.stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  try {
    return await lines.question('')
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
