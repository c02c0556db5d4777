/**
 * A server, its bucket on Ceph, and one original that is in the bucket alone: what benchmarks of reading
 * begin with.
 */
import { Agent } from 'node:http'
import { type Bucket, startBucket } from './bucket.ts'
import { asForm, fileMaker, post } from './http-client.ts'
import { releaseForOffload, waitUntilOffloaded } from './offload.ts'
import { pauseQueues, probeLocations, type ServerUnderTest, serverUnderTest } from './server-under-test.ts'

export type OffloadedOriginal = {
  bucket: Bucket
  server: ServerUnderTest
  assetId: string
  /** Of the very object that ours reads. */
  key: string
  presignedUrl: string
}

/**
 * Nothing else runs at the server; all of it goes when `stack` is disposed of. `size` is in bytes, whole
 * millions.
 */
export async function offloadedOriginal(
  stack: AsyncDisposableStack,
  size: number,
): Promise<OffloadedOriginal> {
  const bucket = await startBucket(stack)
  const server = await serverUnderTest(stack, { storage: { default: 's3', s3: bucket.settings } })
  await probeLocations(server)
  await pauseQueues(server.database, ['processing', 'videoConversion', 'maintenance'])
  const assetId = await offloadOne(server, size)
  const key = await onlyKey(server)
  return { bucket, server, assetId, key, presignedUrl: await bucket.presignedGet(key) }
}

/** Gives the asset's id. */
async function offloadOne(server: ServerUnderTest, size: number): Promise<string> {
  const piece = fileMaker(1_000_000)
  function* file(): Generator<Buffer> {
    for (let sent = 0; sent < size; sent += 1_000_000) yield* piece()
  }
  const form = asForm('proxied.mp4', file(), size)
  const agent = new Agent()
  const answer = await post(agent, `${server.url}/api/assets`, {
    ...form,
    headers: { ...form.headers, authorization: `Bearer ${server.client.token}` },
  })
  await releaseForOffload(server.database)
  await waitUntilOffloaded(server.database)
  return (JSON.parse(answer) as { id: string }).id
}

async function onlyKey(server: ServerUnderTest): Promise<string> {
  const { rows } = await server.database.query<{ key: string }>('select key from replica')
  if (rows.length !== 1) throw new Error(`expected one replica, found ${rows.length}`)
  return rows[0]!.key
}
