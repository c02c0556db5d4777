/** s3-first on the real server: a large upload in flat memory. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { after, before, test } from 'node:test'
import {
  heldKeys,
  probed,
  receiptOf,
  type ServerWithBucket,
  staged,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'

const MIB = 1024 * 1024
const FILE_BYTES = 512 * MIB
/**
 * The pool of parts (64 MiB), buffers of the connections, and what the garbage collector has not yet come to.
 */
const ALLOWED_GROWTH = 200 * MIB

let site: ServerWithBucket

before(async () => {
  site = await startServerWithBucket({ upload: 'strategy: s3-first', isMemoryMeasured: true })
  await probed(site.client)
})
after(() => site.close())

/** The most memory the server ever had, in bytes. */
async function peakMemory(): Promise<number> {
  const status = await readFile(`/proc/${site.server.pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}

test(`${FILE_BYTES / MIB} MiB go through in flat memory, acknowledged when the bucket holds them`, {
  timeout: 180_000,
  skip: process.platform !== 'linux',
}, async (t) => {
  const { client, bucket } = site
  await client.upload(randomBytes(100_000), 'first.jpg')
  const before = await peakMemory()
  const sha256 = createHash('sha256')
  const boundary = 'glassine'
  const part = (name: string, more = '') =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n`
  const head = Buffer.from(
    `${part('fileCreatedAt')}2024-05-01T10:00:00.000Z\r\n${part('fileModifiedAt')}2024-05-01T10:00:00.000Z\r\n` +
      part('assetData', '; filename="film.mp4"'),
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const sending = request(`${client.url}/api/assets`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${client.token}`,
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': head.length + FILE_BYTES + tail.length,
    },
  })
  sending.write(head)
  const piece = randomBytes(4 * MIB)
  for (let sent = 0; sent < FILE_BYTES; sent += piece.length) {
    piece.writeUInt32BE(sent / piece.length) // no two are the same
    const bytes = Buffer.from(piece)
    sha256.update(bytes)
    if (!sending.write(bytes)) await once(sending, 'drain')
    // Others are answered meanwhile. And the client's own connection is used, which the server would close
    // after a while, in the moment perhaps in which the client asks for the receipt.
    if (sent % (64 * MIB) === 0) await client.json('/server/ping')
  }
  sending.end(tail)
  const [answer] = await once(sending, 'response')
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  assert.equal(answer.statusCode, 201, text)
  const growth = (await peakMemory()) - before
  const { id } = JSON.parse(text) as { id: string }
  const key = (await heldKeys(bucket)).find((held) => held.includes(id))!
  const held = createHash('sha256')
    .update(await bucket.stored.bytes(key))
    .digest('hex')
  assert.equal(held, sha256.digest('hex'))
  const { replicas } = await receiptOf(client, id)
  assert.equal(replicas.find(({ location }) => location === 's3')!.proofLevel, 3)
  assert.deepEqual(await staged(site.mediaLocation), [])
  assert.ok(growth < ALLOWED_GROWTH, `${Math.round(growth / MIB)} MiB more`)
  t.diagnostic(`${Math.round(growth / MIB)} MiB more for ${FILE_BYTES / MIB} MiB`)
})
