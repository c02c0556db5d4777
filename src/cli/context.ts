import type pg from 'pg'
import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import type { Location } from '../placement/location.ts'
import type { Placement } from '../placement/placement.ts'
import type { JobName } from '../queue/job-types.ts'
import type { Style } from './text.ts'

export type PartsWithoutLedger = {
  config: Config
  locations: ReadonlyMap<string, Location>
  /** @throws AppError conflict where there is an installation; makes nothing */
  assertNoInstallation(): Promise<void>
  /** The database as it is: nothing is migrated. */
  withAny<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T>
  withEmpty<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T>
  /** An empty database beside that of the installation, which is `own`; it is removed afterwards. */
  withScratch<T>(use: (scratch: { pool: pg.Pool; db: Database }, own: Database) => Promise<T>): Promise<T>
}
export type StartWork = (names: readonly JobName[]) => Promise<{ stop(): Promise<void> }>

/** What a command works with; `bin/` makes it, since only `bin/` loads the config and starts things. */
export type CliContext = {
  /** One line, or several, to standard output. */
  print(text: string): void
  /**
   * What goes on, to standard error; on a terminal the next call overwrites it, elsewhere nothing is written.
   */
  progress(text: string): void
  style: Style
  /**
   * Connects to the running server's database, or starts the embedded one for the time of the command. Where
   * there is none yet, a command that `mayCreate` makes it; all others say so and make nothing.
   */
  withDatabase<T>(
    use: (db: Database, config: Config, pool: pg.Pool) => Promise<T>,
    options?: { mayCreate?: boolean },
  ): Promise<T>
  /**
   * For a restore: the places of the configuration, without any ledger. `withEmpty` makes the database where
   * there is none and connects to it, without anything in it; it throws where there is an installation.
   */
  withoutLedger<T>(use: (parts: PartsWithoutLedger) => Promise<T>): Promise<T>
  withPlacement<T>(use: (placement: Placement, config: Config) => Promise<T>): Promise<T>
  /** As `withPlacement`; `work` has this process do the jobs of these names, until it is stopped. */
  withWorker<T>(use: (placement: Placement, work: StartWork) => Promise<T>): Promise<T>
  /** The message for an error that no command foresees. */
  explain(error: unknown): string
  /** Aborted by Ctrl-C from the first call on; a second Ctrl-C ends the process. */
  untilInterrupted(): AbortSignal
  /** Whether a person sees what is printed, and nothing else gets it. */
  isTerminal: boolean
  input: {
    isTerminal: boolean
    readAll(): Promise<string>
    ask(question: string): Promise<string>
    askHidden(question: string): Promise<string>
  }
}

/** 0: done. 1: failed. 2: usage error. 3: done, and what was found needs somebody. */
export const EXIT = { done: 0, failed: 1, usage: 2, attention: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
