/** The receipts of a whole library: whose they are, what is in them, and that 10,000 take no more memory. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { printReceipts } from '../../../src/cli/storage/receipts.ts'
import { exportReceipts, harmless } from '../../../src/library/assets/receipt-export.ts'
import { cloneAssets } from '../../support/clone-assets.ts'
import { startTestServer } from '../../support/server.ts'

type Line = {
  assetId: string
  owner: string
  originalFileName: string
  sha256: string
  size: number
  replicas: { location: string; key: string; state: string; proofLevel: number; verifiedAt: string }[]
}
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

test('everybody gets their own, an administrator all, in both formats; the command writes the same', async (t) => {
  const server = await startTestServer(t, { originals: ['local', 's3'] })
  const anna = await server.newUser('anna')
  const evil = '=HYPERLINK(A1,A2).jpg'
  const { id } = await anna.upload(randomBytes(1_234), evil)
  const other = await server.admin.upload(randomBytes(10), 'mine, all.jpg')
  await server.runJobs()

  const response = await anna.call('/storage/receipts?format=json')
  assert.match(response.headers.get('content-type')!, /^application\/jsonl/)
  const [line, ...none] = linesOf(await response.text())
  assert.deepEqual(none, [])
  assert.deepEqual([line!.assetId, line!.originalFileName, line!.size], [id, evil, 1_234])
  assert.match(line!.sha256, /^[0-9a-f]{64}$/)
  assert.deepEqual(
    line!.replicas.map(({ location, state }) => `${location} ${state}`),
    ['local verified', 's3 verified'],
  )
  assert.ok(
    line!.replicas.every(
      ({ key, proofLevel, verifiedAt }) => key && proofLevel >= 1 && !Number.isNaN(Date.parse(verifiedAt)),
    ),
  )
  const all = linesOf(await (await server.admin.call('/storage/receipts')).text())
  assert.deepEqual(all.map(({ assetId }) => assetId).sort(), [id, other.id].sort())

  const csv = await (await server.admin.call('/storage/receipts?format=csv')).text()
  const rows = csv.split('\r\n')
  assert.equal(rows.length, 6, 'a header, two places of two originals, and the end')
  assert.match(rows[0]!, /^"assetId","ownerId","owner","originalFileName",/)
  assert.equal(rows.filter((row) => row.includes(`"'=HYPERLINK(A1,A2).jpg"`)).length, 2)
  assert.equal(rows.filter((row) => row.includes('"mine, all.jpg"')).length, 2)
  assert.equal((await anna.call('/storage/receipts?format=xml')).status, 400)

  const folder = await mkdtemp(join(tmpdir(), 'glassine-receipts-'))
  t.after(() => rm(folder, { recursive: true }))
  const out = join(folder, 'receipts.csv')
  const context = { withDatabase: (use: (db: unknown) => unknown) => use(server.db) } as never
  assert.equal(await printReceipts(context, { format: 'csv', out }), 0)
  assert.equal(await readFile(out, 'utf8'), csv)
  assert.equal((await stat(out)).mode & 0o777, 0o600)
  await assert.rejects(printReceipts(context, { format: 'csv', out }), /exists: name another file/)
})

test('a cell that a spreadsheet would run is made harmless', () => {
  for (const cell of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '\uff1d1', '\0=1'])
    assert.equal(harmless(cell), `'${cell}`, JSON.stringify(cell))
  for (const cell of ['', 'a=b.jpg', '2026-05-01', 'IMG-1.jpg', 'a@b.org', "'=1"])
    assert.equal(harmless(cell), cell)
})

test('10,000 receipts are sent a page at a time', async (t) => {
  const server = await startTestServer(t)
  const { id } = await server.admin.upload(randomBytes(100), 'one.jpg')
  await server.runJobs()
  const copies = await cloneAssets(server.pool, id, { months: 100, perMonth: 100 })
  assert.equal(copies, 10_000)
  for (const format of ['csv', 'json'] as const) {
    let largest = 0
    let lines = 0
    let pages = 0
    for await (const text of exportReceipts(server.db, format, { ownerId: null })) {
      largest = Math.max(largest, text.length)
      lines += text.split('\n').length - 1
      pages += 1
    }
    assert.equal(lines, 10_001 + (format === 'csv' ? 1 : 0))
    assert.ok(pages >= 21, `${pages} pages`)
    assert.ok(largest < 500 * 1_200, `${largest} characters are held at a time`)
  }
  // A reader that stops keeps the server from reading on.
  const response = await server.admin.call('/storage/receipts')
  await response.body!.cancel()
  assert.equal((await server.admin.call('/server/ping')).status, 200)
})
