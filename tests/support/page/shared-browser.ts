/**
 * One browser for all files of a process: it takes 2 s of a processor to start. Each page is another person's.
 */
import { after } from 'node:test'
import type { Browser } from 'playwright-core'
import { launchBrowser } from './browser.ts'

let shared: Promise<Browser> | undefined

export function sharedBrowser(): Promise<Browser> {
  shared ??= launchBrowser()
  return shared
}

/** For the end of a file that used it: its pages would go on asking their server. */
export async function closePages(): Promise<void> {
  for (const context of (await shared)?.contexts() ?? []) await context.close()
}

// At the top level of the module, so that it is the process's hook.
after(async () => (await shared)?.close())
