/**
 * PostgreSQL killed under load; the server ended under load: clear errors, nothing acknowledged lost, and it
 * goes on.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { eventually } from '../../support/eventually.ts'
import {
  drained,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../../support/server-with-bucket.ts'
import { WRITE_LEASE_SECONDS } from '../../support/spawn-server.ts'

const LANES = 4
/** After each success: what is tested is what happens to uploads, not how fast previews are made. */
const PAUSE_MS = 150

let site: ServerWithBucket
/** asset id -> SHA-256, of everything that was acknowledged. */
const acknowledged = new Map<string, string>()

before(async () => {
  site = await startServerWithBucket({
    postgres: 'embedded',
    upload: `writeLeaseSeconds: ${WRITE_LEASE_SECONDS}`,
  })
  await probed(site.client)
})
after(() => site.close())

type Answer = { at: number; status: number; body: string }

/** Uploads on and on, whatever the answers are, until it is stopped. A cut connection has status 0. */
function startLoad() {
  const answers: Answer[] = []
  const client = site.client
  let isStopped = false
  let inFlight = 0
  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    while (!isStopped) {
      const bytes = lane % 2 === 0 ? await photo() : Buffer.concat([await photo(), randomBytes(300_000)])
      const form = new FormData()
      form.set('fileCreatedAt', new Date().toISOString())
      form.set('fileModifiedAt', new Date().toISOString())
      form.set('assetData', new Blob([new Uint8Array(bytes)]), 'load.jpg')
      inFlight += 1
      const answer: Answer = { at: 0, status: 0, body: '' }
      try {
        const response = await client.call('/assets', { method: 'POST', body: form })
        answer.status = response.status
        answer.body = await response.text()
      } catch (error) {
        if (!(error instanceof TypeError)) throw error
        answer.body = String(error.cause)
      } finally {
        inFlight -= 1
      }
      answer.at = Date.now()
      answers.push(answer)
      if (answer.status === 201) {
        const { id } = JSON.parse(answer.body) as { id: string }
        acknowledged.set(id, createHash('sha256').update(bytes).digest('hex'))
        await sleep(PAUSE_MS)
      } else await sleep(20)
    }
  })
  return {
    answers,
    inFlight: () => inFlight,
    created: () => answers.filter(({ status }) => status === 201).length,
    async stop() {
      isStopped = true
      await Promise.all(lanes)
    },
  }
}

async function everythingIsThere(): Promise<void> {
  for (const [id, digest] of acknowledged) assert.equal(await site.client.sha256OfOriginal(id), digest)
  const { originals } = await statusOf(site.client)
  assert.equal(originals.atRisk.count, 0)
  assert.ok(originals.total.count >= acknowledged.size)
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`PostgreSQL gets ${signal} under load: 503 with a reason, nothing lost, and it goes on by itself`, {
    timeout: 120_000,
  }, async (t) => {
    const load = startLoad()
    await eventually(() => assert.ok(load.created() >= 8), 20_000)
    const postmaster = await postmasterPid()
    const hitAt = Date.now()
    process.kill(postmaster, signal)
    try {
      await eventually(async () => assert.notEqual(await postmasterPid(), postmaster), 20_000)
      const againAt = Date.now()
      await eventually(() => {
        const later = load.answers.filter(({ at, status }) => at > againAt && status === 201)
        assert.ok(later.length >= 8, `${later.length} uploads since PostgreSQL is back`)
      }, 20_000)
    } finally {
      await load.stop()
    }
    const refused = load.answers.filter(({ status }) => status !== 201)
    for (const { status, body } of refused) {
      assert.equal(status, 503, body)
      assert.match((JSON.parse(body) as { message: string }).message, /database.*again/)
    }
    const lastRefusedAt = Math.max(hitAt, ...refused.map(({ at }) => at))
    t.diagnostic(`${refused.length} refused, the last one ${lastRefusedAt - hitAt} ms after the signal`)
    assert.ok(refused.length > 0 || signal === 'SIGTERM', 'nothing was under way')
    await drained(site.client, 60_000)
    await everythingIsThere()
  })
}

test('SIGTERM during uploads and offloads: over within 10 s, no child left, port free, the second start finds all', {
  timeout: 120_000,
}, async (t) => {
  const { bucket, server } = site
  bucket.faults.add({
    match: { operation: 'PutObject', key: /^users\// },
    fault: { kind: 'slow', bytesPerSecond: 20_000 },
  })
  const load = startLoad()
  await eventually(() => assert.ok(load.created() >= 8 && bucket.activeRequests() > 0), 20_000)
  const children = await descendantsOf(server.pid)
  const postmaster = await postmasterPid()
  assert.ok(children.length > 0, 'media processes, at least')
  while (load.inFlight() === 0) await sleep(1)
  assert.ok(bucket.activeRequests() > 0, 'uploads and offloads are under way')
  const acknowledgedBefore = acknowledged.size
  const { code, tookMs } = await server.stop()
  const isPortFree = await canListen(Number(new URL(server.url).port))
  const left = (await Promise.all([...children, postmaster].map(describeProcess))).filter(Boolean)
  await load.stop()
  t.diagnostic(
    `it took ${tookMs} ms; ${acknowledged.size - acknowledgedBefore} uploads were finished meanwhile`,
  )
  assert.equal(code, 0, server.output().slice(-2_000))
  assert.ok(tookMs < 10_000, `${tookMs} ms`)
  assert.deepEqual(left, [], 'no process is left')
  assert.ok(isPortFree, 'the port is free')
  for (const { status, body } of load.answers.filter(({ status }) => status !== 201)) {
    assert.ok(status === 0 || status === 503, `${status} ${body}`)
  }

  bucket.faults.clear()
  const begunAt = Date.now()
  await site.start()
  t.diagnostic(`the second start took ${Date.now() - begunAt} ms`)
  await everythingIsThere()
  await drained(site.client, 60_000)
  await everythingIsThere()
})

async function postmasterPid(): Promise<number> {
  const text = await readFile(join(site.dataDir, 'postgres', 'cluster', 'postmaster.pid'), 'utf8')
  return Number(text.split('\n')[0])
}

/** All processes below this one, but for PostgreSQL's, whose parent it is. */
async function descendantsOf(pid: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-o', 'pid=,ppid='])
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number])
  const found = [pid]
  for (const parent of found)
    found.push(...rows.filter(([, ppid]) => ppid === parent).map(([child]) => child))
  return found.slice(1)
}

/**
 * Its command, or null where there is no such process (any more); a dead one that nobody waited for is none.
 */
async function describeProcess(pid: number): Promise<string | null> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=,args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  const text = stdout.trim()
  return text === '' || text.startsWith('Z') ? null : `${pid} ${text}`
}

async function canListen(port: number): Promise<boolean> {
  const probe = createServer()
  probe.listen(port, '127.0.0.1')
  try {
    await once(probe, 'listening')
  } catch {
    return false // in use
  }
  probe.close()
  return true
}
