import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const BIN = new URL('../../../node_modules/@immich/cli/bin/immich', import.meta.url).pathname

/** Runs the official Immich CLI as a user would; throws with all it printed when it fails. */
export async function immich(configFolder: string, args: string[]): Promise<string> {
  const env = { PATH: process.env.PATH ?? '', HOME: configFolder, IMMICH_CONFIG_DIR: configFolder }
  try {
    const { stdout, stderr } = await run(process.execPath, [BIN, ...args], {
      env,
      maxBuffer: 64e6,
      timeout: 300_000,
    })
    return stdout + stderr
  } catch (error) {
    const { stdout, stderr, message } = error as Error & { stdout?: string; stderr?: string }
    throw new Error(`immich ${args[0]}: ${message}\n${stdout ?? ''}\n${stderr ?? ''}`)
  }
}
