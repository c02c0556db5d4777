/**
 * A drill by the command line, against a real S3 service, in the middle of uploading; the server is killed
 * during it.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { connectClient } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { testDatabase } from '../../support/postgres.ts'
import { runCli } from '../../support/run-cli.ts'
import {
  bucketStatus,
  drained,
  photo,
  probed,
  receiptOf,
  statusOf,
} from '../../support/server-with-bucket.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { spawnServer } from '../../support/spawn-server.ts'

describe('a drill on Ceph', { ...(await needsCeph()), timeout: 300_000 }, () => {
  test('blocks the running server, outlives it, and everything is proven there afterwards', async (t) => {
    const ceph: Ceph = await startCeph()
    t.after(() => ceph.stop())
    const folder = await mkdtemp(join(tmpdir(), 'glassine-drill-'))
    t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
    const dataDir = join(folder, 'data')
    await mkdir(dataDir)
    const port = await freePort()
    const database = await testDatabase()
    const config = `database: { url: "${database.url}" }
storage:
  s3:
    endpoint: ${ceph.endpoint}
    bucket: ${await ceph.createBucket()}
    accessKeyId: ${ceph.accessKeyId}
    secretAccessKey: ${ceph.secretAccessKey}
`
    let server = await spawnServer({ dataDir, config, port })
    database.beforeDrop(() => server.stop())
    t.after(() => database.drop())
    const env = { GLASSINE_DATA: dataDir, GLASSINE_CONFIG: join(folder, `glassine-${port}.yaml`) }
    const glassine = (...words: string[]) => runCli(words, { env })
    let client = await connectClient(server.url)
    const acknowledged = new Map<string, string>()
    const upload = async () => {
      const bytes = await photo(512)
      const { id } = await client.upload(bytes, 'photo.jpg')
      acknowledged.set(id, createHash('sha256').update(bytes).digest('hex'))
      return id
    }
    await probed(client)
    const offloaded = await upload()
    await drained(client, 60_000)

    assert.equal((await glassine('storage', 'drill', 's3', '--minutes', '90')).code, 2)
    assert.match(
      (await glassine('storage', 'drill', 'local')).stderr,
      /"local" can't be blocked\. Available: s3/,
    )

    // Uploads go on before, at and after its begin, so that some are on their way to the bucket when it is
    // cut.
    let isEnough = false
    const uploading = (async () => {
      while (!isEnough) await upload()
    })()
    const begun = await glassine('storage', 'drill', 's3', '--minutes', '10', '--no-wait')
    assert.equal(begun.code, 0, begun.stderr)
    assert.match(begun.stdout, /^s3 can't be reached for 10 minutes, until .*Z\.\nIt ends by itself/)
    const refused = await eventually(async () => {
      const response = await client.call(`/assets/${offloaded}/original`)
      assert.equal(response.status, 503)
      return response
    }, 10_000)
    const retryAfter = Number(refused.headers.get('retry-after'))
    assert.ok(retryAfter > 400 && retryAfter <= 600, `Retry-After: ${retryAfter}`)
    isEnough = true
    await uploading
    const status = await glassine('storage', 'status')
    assert.equal(status.code, 3, 'something needs attention')
    assert.match(status.stdout, /s3: blocked by a drill, (9 min \d\d|10 min 00) s left/)

    await server.kill9()
    server = await spawnServer({ dataDir, config, port })
    client = await connectClient(server.url)
    assert.equal(
      (await client.call(`/assets/${offloaded}/original`)).status,
      503,
      'nor does a restart end it',
    )
    for (const id of [await upload(), offloaded]) {
      await eventually(async () => {
        assert.equal((await client.call(`/assets/${id}/thumbnail`)).status, 200)
      }, 30_000)
    }
    assert.equal((await statusOf(client)).originals.atRisk.count, 0)

    const stopped = await glassine('storage', 'drill', 's3', '--stop', '--json')
    assert.deepEqual(JSON.parse(stopped.stdout), { stopped: ['s3'] })
    const tookMs = await drained(client, 120_000)
    t.diagnostic(`${acknowledged.size} uploads; drained ${tookMs} ms after the drill`)
    assert.equal((await bucketStatus(client)).health, 'healthy')
    for (const [id, digest] of acknowledged) {
      assert.equal(await client.sha256OfOriginal(id), digest)
      const { replicas } = await receiptOf(client, id)
      assert.deepEqual(
        replicas.map(({ location, state, proofLevel }) => [location, state, (proofLevel ?? 0) >= 3]),
        [['s3', 'verified', true]],
      )
    }
  })
})
