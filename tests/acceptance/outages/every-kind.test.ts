/**
 * The bucket away in every way it can be, and in a drill, which must look the same: what needs no bucket goes
 * on, what needs it fails in time and says when to come back, nothing piles up, and all of it drains by
 * itself afterwards.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Fault } from 'strict-s3/faults'
import { type Client, connectClient } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import {
  bucketStatus,
  drained,
  heldKeys,
  photo,
  probed,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../../support/server-with-bucket.ts'

const ANSWER_WITHIN_MS = 3_000
const COOL_DOWN_MS = 1_500
/** What a loaded machine may add to a limit. */
const SLACK_MS = 4_000
const CROWD = 200

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

type Health = {
  isDegraded: boolean
  since: string | null
  message: string | null
  works: string[]
  waits: string[]
  places?: { id: string; error: string | null; isAway: boolean; drillEndsAt: string | null }[]
}
type Outage = { begin(): Promise<void>; end(): Promise<void>; error: RegExp }

let site: ServerWithBucket
let client: Client
let gate: Gate
/** asset id -> SHA-256, of everything that was acknowledged. */
const acknowledged = new Map<string, string>()

before(async () => {
  site = await startServerWithBucket({
    through: async (port) => {
      gate = await openGate(port)
      return gate.endpoint
    },
    outage: `{ answerWithinMs: ${ANSWER_WITHIN_MS}, coolDownMs: ${COOL_DOWN_MS} }`,
  })
  client = site.client
  await probed(client)
})
after(async () => {
  await site?.close()
  await gate?.close()
})

const fault = (kind: Fault, error: RegExp): Outage => ({
  begin: async () => void site.bucket.faults.add({ fault: kind }),
  end: async () => site.bucket.faults.clear(),
  error,
})
const drill = (minutes: number) =>
  client.call('/storage/drill', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ location: 's3', minutes }),
  })

const OUTAGES: Record<string, () => Outage> = {
  'a drill': () => ({
    begin: async () => assert.equal((await drill(5)).status, 201),
    end: async () => {
      const response = await client.call('/storage/drill?location=s3', { method: 'DELETE' })
      assert.equal(response.status, 200)
    },
    error: /a simulated outage/,
  }),
  'the service stopped': () => ({
    begin: () => gate.shut(),
    end: () => gate.open(),
    error: /ECONNREFUSED|ECONNRESET|socket hang up/,
  }),
  'the service hanging': () => fault({ kind: 'hang' }, /no answer|sent nothing/),
  'the service answering 503': () => fault({ kind: 'status', status: 503, code: 'SlowDown' }, /503 SlowDown/),
  'the service resetting connections': () => fault({ kind: 'reset' }, /ECONNRESET|socket hang up/),
}

async function upload(): Promise<string> {
  const bytes = await photo(128)
  const { id, status } = await client.upload(bytes, 'photo.jpg')
  assert.equal(status, 'created')
  acknowledged.set(id, sha256(bytes))
  return id
}

async function processed(assetId: string): Promise<void> {
  await eventually(async () => {
    const { processing } = await receiptOf(client, assetId)
    assert.equal(processing.state, 'done')
  }, 60_000)
}

async function original(assetId: string) {
  const began = performance.now()
  const response = await client.call(`/assets/${assetId}/original`)
  const { message } = (await response.json()) as { message: string }
  return {
    status: response.status,
    retryAfter: Number(response.headers.get('retry-after')),
    message,
    tookMs: performance.now() - began,
  }
}

async function browsingWorks(assetIds: Iterable<string>): Promise<void> {
  const buckets = await client.json<{ timeBucket: string; count: number }[]>('/timeline/buckets')
  assert.equal(
    buckets.reduce((sum, { count }) => sum + count, 0),
    acknowledged.size,
  )
  for (const { timeBucket } of buckets) await client.json(`/timeline/bucket?timeBucket=${timeBucket}`)
  for (const id of assetIds) {
    for (const size of ['thumbnail', 'preview']) {
      const response = await client.call(`/assets/${id}/thumbnail?size=${size}`)
      assert.equal(response.status, 200)
      assert.ok((await response.arrayBuffer()).byteLength > 0)
    }
  }
}

const health = (who: Client = client) => who.json<Health>('/storage/health')

async function newUser(): Promise<Client> {
  const who = { email: `user-${acknowledged.size}@example.org`, password: 'a long password', name: 'User' }
  await client.json('/admin/users', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(who),
  })
  return connectClient(client.url, who)
}

describe('an outage', { concurrency: 1 }, () => {
  for (const [name, outageOf] of Object.entries(OUTAGES)) {
    test(`${name}: the house goes on, and all drains by itself`, { timeout: 240_000 }, async (t) => {
      const outage = outageOf()
      const offloaded = await upload()
      await processed(offloaded)
      await drained(client, 60_000)
      assert.equal((await health()).isDegraded, false)
      const connectionsBefore = gate.most()

      t.after(outage.end)
      await outage.begin()
      const first = await original(offloaded)
      assert.equal(first.status, 503)
      assert.ok(first.tookMs < ANSWER_WITHIN_MS + SLACK_MS, `the first 503 took ${first.tookMs} ms`)
      assert.match(
        first.message,
        /^This photo's original is in the bucket, which can't be reached now; it is not lost/,
      )
      assert.ok(first.retryAfter >= 1 && first.retryAfter <= 3_600)

      // A crowd comes: it has its answers in time, and does not hold a socket each.
      gate.forget()
      const began = performance.now()
      const crowd = await Promise.all(Array.from({ length: CROWD }, () => original(offloaded)))
      const crowdTookMs = performance.now() - began
      for (const { status, retryAfter } of crowd) {
        assert.equal(status, 503)
        assert.ok(retryAfter >= 1 && retryAfter <= 3_600)
      }
      assert.ok(crowdTookMs < ANSWER_WITHIN_MS + SLACK_MS, `the crowd took ${crowdTookMs} ms`)
      assert.ok(gate.most() <= 30, `${gate.most()} connections to the bucket at once`)

      // By now it is known: refused at once, without asking, and everybody may know.
      await eventually(async () => {
        const { error } = await bucketStatus(client)
        const { isDegraded, places } = await health()
        // A probe that was under way may tell the trouble first, and does not know what kind it is.
        assert.deepEqual([isDegraded, places?.[0]?.isAway], [true, true])
        assert.match(error ?? '', outage.error)
      }, 30_000)
      const requestsBefore = site.bucket.activeRequests()
      const refused = await Promise.all(Array.from({ length: 50 }, () => original(offloaded)))
      assert.ok(refused.every(({ status }) => status === 503))
      assert.ok(site.bucket.activeRequests() <= requestsBefore + 1, 'at most one trial is under way')

      const told = await health()
      assert.ok(told.since !== null)
      assert.match(told.message ?? '', /originals/)
      assert.ok(told.works.includes('browsing') && told.works.includes('uploading'))
      assert.ok(told.waits.includes('opening and downloading originals'))
      assert.deepEqual(
        told.places?.map(({ id, isAway, drillEndsAt }) => [id, isAway, drillEndsAt !== null]),
        [['s3', true, name === 'a drill']],
      )
      const plain = await health(await newUser())
      assert.equal(plain.message, told.message)
      assert.equal(plain.places, undefined, 'no details for other users')

      const uploadedMeanwhile = [await upload(), await upload(), await upload()]
      for (const id of uploadedMeanwhile) await processed(id)
      await browsingWorks([offloaded, ...uploadedMeanwhile])
      for (const id of uploadedMeanwhile) {
        assert.equal(await client.sha256OfOriginal(id), acknowledged.get(id), 'what is here is served')
      }
      const { originals } = await statusOf(client)
      assert.equal(originals.atRisk.count, 0)
      assert.equal(originals.localOnly.count + originals.inFlight.count, uploadedMeanwhile.length)

      await outage.end()
      const tookMs = await drained(client, 90_000)
      t.diagnostic(
        `first 503 after ${Math.round(first.tookMs)} ms, ${CROWD} after ${Math.round(crowdTookMs)} ms over ` +
          `${gate.most()} connections (${connectionsBefore} when well); drained ${tookMs} ms after the end`,
      )
      await eventually(async () => assert.equal((await health()).isDegraded, false), 30_000)
      const keys = new Set<string>()
      for (const [id, digest] of acknowledged) {
        assert.equal(await client.sha256OfOriginal(id), digest)
        const { replicas } = await receiptOf(client, id)
        assert.deepEqual(
          replicas.map(({ location, state }) => `${location} ${state}`),
          ['s3 verified'],
        )
        assert.ok((replicas[0]?.proofLevel ?? 0) >= 3)
        keys.add(replicas[0]!.key)
      }
      await eventually(async () => assert.deepEqual(new Set(await heldKeys(site.bucket)), keys), 90_000)
    })
  }
})

type Gate = {
  endpoint: string
  /** Refuses connections and cuts those that are open. */
  shut(): Promise<void>
  open(): Promise<void>
  /** The most connections at once since it was told to forget. */
  most(): number
  forget(): void
  close(): Promise<void>
}

/**
 * Stands between Glassine and the bucket, so that the service can stop without losing what it holds in
 * memory.
 */
async function openGate(port: number): Promise<Gate> {
  const sockets = new Set<Socket>()
  let most = 0
  let server: Server | null = null
  // It is closed for a while and must have its port again.
  const own = await freePort()

  async function open(): Promise<void> {
    if (server !== null) return
    const opened = createServer((from) => {
      const to = connect(port, '127.0.0.1')
      sockets.add(from)
      most = Math.max(most, sockets.size)
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      to.on('close', () => from.resetAndDestroy())
      for (const socket of [from, to]) socket.on('error', () => undefined)
      from.pipe(to).pipe(from)
    })
    await new Promise<void>((resolve, reject) => {
      opened.once('error', reject)
      opened.listen(own, '127.0.0.1', resolve)
    })
    server = opened
  }

  async function shut(): Promise<void> {
    const closed = new Promise((resolve) => server?.close(resolve) ?? resolve(null))
    for (const socket of sockets) socket.destroy()
    await closed
    server = null
  }

  await open()
  return {
    endpoint: `http://127.0.0.1:${own}`,
    shut,
    open,
    most: () => most,
    forget: () => {
      most = sockets.size
    },
    close: shut,
  }
}
