import type { Config } from '../config.ts'
import type { Database } from '../database/connect.ts'
import type { Placement } from '../placement/placement.ts'
import type { Style } from './text.ts'

/** What a command works with; `bin/` makes it, since only `bin/` loads the config and starts things. */
export type CliContext = {
  /** One line, or several, to standard output. */
  print(text: string): void
  /** What goes on, to standard error; on a terminal the next call overwrites it, elsewhere nothing is written. */
  progress(text: string): void
  style: Style
  /** Connects to the running server's database, or starts the embedded one for the time of the command. */
  withDatabase<T>(use: (db: Database) => Promise<T>): Promise<T>
  withPlacement<T>(use: (placement: Placement, config: Config) => Promise<T>): Promise<T>
  input: { isTerminal: boolean; readAll(): Promise<string>; askHidden(question: string): Promise<string> }
}

/** 0: done. 1: failed. 2: called in a wrong way. 3: done, and what was found needs somebody. */
export const EXIT = { done: 0, failed: 1, usage: 2, attention: 3 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
