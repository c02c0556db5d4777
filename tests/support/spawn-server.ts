import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { freePort } from './free-port.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
const START_LIMIT_MS = 60_000
/**
 * As `tests/run.ts` has it for the tests themselves: 60 uploads of 6 MB cost 6.1 instead of 7.8 s of CPU, for
 * 40 MB more of memory.
 */
const HEAP = ['--external-memory-accounted-in-global-limit', '--initial-heap-size=96']
/**
 * For tests that kill writers and wait for their work to be done anew: the ordinary 40 s would be most of
 * their time. Renewed every 2 s, so that a busy machine does not make living writers look dead.
 */
export const WRITE_LEASE_SECONDS = 8

export type SpawnedServer = {
  url: string
  pid: number
  /** Everything it printed so far. */
  output(): string
  /** SIGKILL, to this process alone. */
  kill9(): Promise<void>
  /** SIGTERM; resolves with the exit code and how long it took, in milliseconds. */
  stop(): Promise<{ code: number | null; tookMs: number }>
}

/**
 * Runs `src/bin/server.ts` as its own process and resolves when it answers a ping. `config` is the text of
 * its glassine.yaml.
 */
export async function spawnServer(options: {
  dataDir: string
  config?: string
  port?: number
  env?: Record<string, string>
  /** It has the heap that V8 chooses, for a test of how much memory it takes. */
  isMemoryMeasured?: boolean
}): Promise<SpawnedServer> {
  const port = options.port ?? (await freePort())
  const configFile = join(options.dataDir, '..', `glassine-${port}.yaml`)
  await writeFile(configFile, withoutWaits(options.config ?? ''))
  const child: ChildProcess = spawn(
    process.execPath,
    [...(options.isMemoryMeasured ? [] : HEAP), 'src/bin/server.ts'],
    {
      cwd: PROJECT,
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        GLASSINE_PORT: String(port),
        GLASSINE_HOST: '127.0.0.1',
        GLASSINE_DATA: options.dataDir,
        GLASSINE_CONFIG: configFile,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  child.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr!.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + START_LIMIT_MS
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`the server ended at once:\n${output}`)
    if (await answersPing(url)) break
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`the server did not answer within ${START_LIMIT_MS} ms:\n${output}`)
    }
    await sleep(50)
  }
  return {
    url,
    pid: child.pid!,
    output: () => output,
    async kill9() {
      child.kill('SIGKILL')
      await exited
    },
    async stop() {
      const begunAt = Date.now()
      child.kill('SIGTERM')
      const [code] = await exited
      return { code, tookMs: Date.now() - begunAt }
    },
  }
}

/**
 * What a server does right after a start is what most tests are about; the wait before removals has tests of
 * its own.
 */
function withoutWaits(config: string): string {
  const settings = (parse(config) ?? {}) as { storage?: { removal?: object } }
  const removal = settings.storage?.removal ?? { waitSeconds: 0, lateRequestMinutes: 0 }
  return stringify({ ...settings, storage: { ...settings.storage, removal } })
}

async function answersPing(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/api/server/ping`, { signal: AbortSignal.timeout(2_000) })
    return response.ok && ((await response.json()) as { res: string }).res === 'pong'
  } catch {
    return false // not listening yet
  }
}
