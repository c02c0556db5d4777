/** The real server, as its own process with its own PostgreSQL and an administrator who is logged in. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { stringify } from 'yaml'
import { startEmbeddedPostgres } from '../src/database/embedded/embedded.ts'
import { silentLog } from '../src/log.ts'
import { type Client, connectClient } from '../tests/support/client.ts'
import { freePort } from '../tests/support/free-port.ts'

const PROJECT = new URL('..', import.meta.url).pathname
const START_LIMIT_MS = 60_000
const PING_EVERY_MS = 4

export type RunningServer = {
  url: string
  /** The one node process that answers HTTP and runs the jobs. */
  pid: number
  /** From the spawn to the first answered ping. */
  startedInMs: number
  /** SIGTERM, and the end of it. */
  stop(): Promise<void>
}

/** A folder that goes when `stack` is disposed of. */
export async function temporaryFolder(stack: AsyncDisposableStack): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Starts the server as `npm start` does, with `config` as its glassine.yaml. */
export async function startServer(dataDir: string, config: object): Promise<RunningServer> {
  await mkdir(dataDir, { recursive: true })
  const port = await freePort()
  const configFile = join(dataDir, 'bench.yaml')
  const logFile = join(dataDir, 'bench.log')
  await writeFile(configFile, stringify(config))
  const log = await open(logFile, 'a')
  const beganAt = performance.now()
  const child = spawn('bin/glassine', ['server'], {
    cwd: PROJECT,
    env: {
      ...process.env,
      GLASSINE_HOST: '127.0.0.1',
      GLASSINE_PORT: String(port),
      GLASSINE_DATA: dataDir,
      GLASSINE_CONFIG: configFile,
    },
    stdio: ['ignore', log.fd, log.fd],
  })
  await log.close()
  const ended = once(child, 'exit')
  const url = `http://127.0.0.1:${port}`
  while (!(await answersPing(url))) {
    if (
      child.exitCode !== null ||
      child.signalCode !== null ||
      performance.now() - beganAt > START_LIMIT_MS
    ) {
      child.kill('SIGKILL')
      throw new Error(`the server does not start:\n${await readFile(logFile, 'utf8')}`)
    }
    await sleep(PING_EVERY_MS)
  }
  return {
    url,
    pid: child.pid!,
    startedInMs: performance.now() - beganAt,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      await ended
    },
  }
}

export type ServerUnderTest = RunningServer & {
  client: Client
  database: pg.Client
  /** The postmaster: its CPU is counted apart from the server's. */
  databasePid: number
  dataDir: string
}

/** A server on embedded PostgreSQL, signed up and logged in, which goes when `stack` is disposed of. */
export async function serverUnderTest(stack: AsyncDisposableStack, config: object): Promise<ServerUnderTest> {
  const dataDir = await temporaryFolder(stack)
  const server = await startServer(dataDir, config)
  stack.defer(() => server.stop())
  // The server's own PostgreSQL, which is running: this only asks it in as one more client.
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog })
  const database = new pg.Client({ connectionString: postgres.url })
  await database.connect()
  stack.defer(async () => {
    await database.end()
    await postgres.stop()
  })
  return {
    ...server,
    client: await connectClient(server.url),
    database,
    databasePid: postgres.pid,
    dataDir,
  }
}

/** What the server would find out by itself within a minute: what its bucket can do. */
export async function probeLocations({ client }: ServerUnderTest): Promise<void> {
  const response = await client.call('/storage/probe', { method: 'POST' })
  if (!response.ok) throw new Error(`the probe answered ${response.status}: ${await response.text()}`)
}

/** No job of these queues is claimed until `resumeQueues`. */
export async function pauseQueues(database: pg.Client, queues: readonly string[]): Promise<void> {
  await database.query('insert into paused_queue (queue) select unnest($1::text[]) on conflict do nothing', [
    queues,
  ])
}

export async function resumeQueues(database: pg.Client, queues: readonly string[]): Promise<void> {
  await database.query('delete from paused_queue where queue = any($1)', [queues])
  await database.query(`select pg_notify('jobs:insert', '{}')`)
}

function answersPing(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`${url}/api/server/ping`, { agent: false, timeout: 2_000 }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200))
    })
    request.on('error', () => resolve(false))
    request.on('timeout', () => request.destroy())
  })
}
