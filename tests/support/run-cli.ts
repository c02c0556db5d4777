/** The command line as somebody types it: the launcher, and the Node that it starts. */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { ServerWithBucket } from './server-with-bucket.ts'

const LAUNCHER = join(import.meta.dirname, '../../bin/glassine')
/** A report about a large library, in bytes; more than that is an error. */
const MAX_OUTPUT = 64e6

/** `code` is -1 where a signal ended the command. */
export type Answer = { code: number; stdout: string; stderr: string }

type Options = {
  env?: Record<string, string>
  cwd?: string
  /** What is typed; the input ends after it. */
  input?: string
  /** The command is ended after so many milliseconds. */
  timeout?: number
}

// Without the variable by which a process of node's runner tells its children to report to it.
const environment = (env: Options['env']) => ({ ...process.env, NODE_TEST_CONTEXT: undefined, ...env })

/** Runs a command to its end, however it ends. */
export function runCli(args: string[], { env, input, ...options }: Options = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(
      LAUNCHER,
      args,
      { ...options, env: environment(env), maxBuffer: MAX_OUTPUT },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
        resolve({ code, stdout, stderr })
      },
    )
    child.stdin!.end(input ?? '')
  })
}

/** Begins a command that the test interrupts or kills. */
export function beginCli(
  args: string[],
  { env, ...options }: SpawnOptions & { env: Record<string, string> },
): ChildProcess {
  return spawn(LAUNCHER, args, { ...options, env: environment(env) })
}

/** The environment of a command for this installation. */
export const installationOf = (site: Pick<ServerWithBucket, 'folder' | 'dataDir' | 'server'>) => ({
  GLASSINE_DATA: site.dataDir,
  GLASSINE_CONFIG: join(site.folder, `glassine-${new URL(site.server.url).port}.yaml`),
})
