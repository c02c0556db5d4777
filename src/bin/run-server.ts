import { relative } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { type App, buildApp } from '../app.ts'
import { loadConfig } from '../config.ts'
import type { Listener } from '../database/listen.ts'
import { storageHealthFor } from '../library/server/storage-overview.ts'
import { createLog, logReader } from '../log.ts'
import type { Worker } from '../queue/worker/worker.ts'
import { VERSION } from '../version.ts'
import { startOrExplain, stopOnSignal } from './lifecycle.ts'
import { heedHangUp, reloadOnDemand } from './reload.ts'

/** For answers under way and running jobs alike; together with the rest it stays below 10 s. */
const GRACE_MS = 4_500

type Running = { app: App; http: FastifyInstance; worker: Worker; reloads: Listener }

/** The server, with one worker inside it. */
export async function runServer(env: NodeJS.ProcessEnv): Promise<void> {
  heedHangUp()
  const starting = startOrExplain(() => start(env))
  let running: Running | undefined
  // From the first moment: Ctrl-C during the start must not leave the embedded PostgreSQL behind.
  const steps = {
    async stop(withinMs: number) {
      const stopAt = performance.now() + withinMs
      const { app, http, worker, reloads } = await starting
      await Promise.all([reloads.close(), closeHttp(http), worker.stop(GRACE_MS)])
      await app.close(stopAt - performance.now())
    },
    kill: () => running?.app.kill(),
  }
  stopOnSignal(steps, logReader(env.NO_COLOR))
  running = await starting
  process.stdout.write(`${await welcome(running)}\n`)
}

async function start(env: NodeJS.ProcessEnv): Promise<Running> {
  const config = loadConfig(env)
  const building = buildApp(config, createLog(config.logLevel, logReader(env.NO_COLOR)))
  // Loaded while PostgreSQL starts: 150 ms that nobody waits for.
  const [
    app,
    { buildHttpServer },
    { startAppWorker },
    { recordVersion },
    { logUploadRules },
    { applySessionLimits },
  ] = await Promise.all([
    building,
    import('../http/server.ts'),
    import('./start-worker.ts'),
    import('../library/server/server-info.ts'),
    import('../library/uploads/upload-strategy.ts'),
    import('../library/credentials/sessions.ts'),
  ])
  try {
    await recordVersion(app.db)
    await applySessionLimits(app.db, config.sessions)
    await logUploadRules(app.db, app.log, config.storage)
    const http = await buildHttpServer(app)
    await http.listen({ host: config.host, port: config.port })
    const worker = await startAppWorker(app)
    return { app, http, worker, reloads: await reloadOnDemand(app, worker.id, env) }
  } catch (error) {
    await app.close()
    throw error
  }
}

/** Refuses new connections, lets answers under way end, and cuts those that take too long. */
async function closeHttp(http: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => http.server.closeAllConnections(), GRACE_MS)
  try {
    await http.close()
  } finally {
    clearTimeout(cut)
  }
}

/** Where the server is, and what is not well: the person who has started it looks here, and nowhere else. */
async function welcome({ app, http }: Running): Promise<string> {
  const address = http.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : app.config.port
  const host = ['0.0.0.0', '::', '127.0.0.1'].includes(app.config.host) ? 'localhost' : app.config.host
  const lines = [
    `Glassine is ready: http://${host.includes(':') ? `[${host}]` : host}:${port} (version ${VERSION})`,
  ]
  lines.push(...(await troubles(app)))
  if (app.config.demonstrationBucket && app.demonstrationBucket !== null) {
    const fromHere = relative(process.cwd(), app.demonstrationBucket.folder)
    const folder = fromHere.startsWith('..') ? app.demonstrationBucket.folder : fromHere
    lines.push(
      '',
      `Originals go to the demonstration bucket, a folder of this machine (${folder}).`,
      'To keep them in a real one, set storage.s3 in glassine.yaml: see docs/configuration.md.',
    )
  }
  return lines.join('\n')
}

/** One line for each place in trouble, and what that means for people. */
async function troubles(app: App): Promise<string[]> {
  const { places, message } = await storageHealthFor(app.placement, app.config.storage, null)
  if (message === null) return []
  const named = places.map(({ label, error, drillEndsAt }) => {
    const why = drillEndsAt === null ? error : `a drill until ${drillEndsAt}`
    return `Not well: ${label}${why === null ? '' : ` (${why})`}`
  })
  return ['', ...named, message]
}
