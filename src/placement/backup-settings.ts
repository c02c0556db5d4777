import type pg from 'pg'

/** How many backups are kept: the newest of each of the last so many days, weeks and months that have one. */
export type BackupKeep = { daily: number; weekly: number; monthly: number }

export type BackupSettings = {
  /** Backups are read over a connection of its own. */
  pool: pg.Pool
  /** Where the key of this installation lies, in the data folder of the process. */
  keyFile: string
  /** 0: none are made by themselves. */
  everyMs: number
  keep: BackupKeep
}

export const DEFAULT_KEEP: BackupKeep = { daily: 7, weekly: 4, monthly: 12 }
