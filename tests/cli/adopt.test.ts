/** `glassine storage adopt` as a process of its own, after a backup of the data folder was put back. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { eventually } from '../support/eventually.ts'
import { backUp, putBack } from '../support/restored-folder.ts'
import { beginCli, installationOf, runCli } from '../support/run-cli.ts'
import {
  drained,
  heldKeys,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../support/server-with-bucket.ts'

const LIMIT_MS = 60_000
let site: ServerWithBucket
/** Asset id -> SHA-256, of what the backup knows. */
const uploads = new Map<string, string>()
let held: string[]

type Report = Record<'held' | 'confirmed' | 'unknown' | 'missing', { count: number }>

const glassine = (...args: string[]) => runCli(args, { cwd: site.folder, env: installationOf(site) })

async function upload(): Promise<void> {
  const bytes = await photo(100)
  const { id } = await site.client.upload(bytes, 'photo.jpg')
  uploads.set(id, createHash('sha256').update(bytes).digest('hex'))
}

/** What the page of another database has used: two photos more than the one that is put back knows. */
async function restoreOlder(): Promise<void> {
  await backUp(site)
  const known = [...uploads]
  for (let count = 0; count < 2; count += 1) await upload()
  await drained(site.client, LIMIT_MS)
  await putBack(site)
  uploads.clear()
  for (const [id, sha256] of known) uploads.set(id, sha256)
  held = await heldKeys(site.bucket)
}

before(async () => {
  site = await startServerWithBucket({ postgres: 'embedded' })
  await probed(site.client)
  for (let count = 0; count < 3; count += 1) await upload()
  await drained(site.client, LIMIT_MS)
})
after(() => site?.close())

test('A1: without a server, the command plans, takes over by itself, and says what it came to', async () => {
  await restoreOlder()
  const status = await glassine('storage', 'status')
  assert.equal(status.code, 3, status.stderr)
  assert.match(status.stdout, /^3 originals\. What s3 holds of them is not certain/)

  const nothing = await glassine('storage', 'adopt', 'local')
  assert.equal(nothing.code, 0, nothing.stdout + nothing.stderr)
  assert.match(nothing.stdout, /there is nothing to take over/)
  assert.equal((await glassine('storage', 'adopt', 'nowhere')).code, 2)

  const plan = await glassine('storage', 'adopt', 's3')
  assert.equal(plan.code, 3, plan.stderr)
  assert.match(plan.stdout, /^Files there +5 /m)
  assert.match(plan.stdout, /^As remembered +3 /m)
  assert.match(plan.stdout, /^Unknown +2 /m)
  assert.match(plan.stdout, /glassine storage adopt s3 --yes/)
  const told = JSON.parse((await glassine('storage', 'adopt', 's3', '--json')).stdout) as {
    conflict: string
    plan: Report
  }
  assert.deepEqual([told.conflict, told.plan.held.count], ['another-ledger', 5])

  const done = await glassine('storage', 'adopt', 's3', '--yes')
  assert.equal(done.code, 0, done.stdout + done.stderr)
  assert.match(done.stdout, /^s3 is taken over\. It belongs to this database again\./)
  assert.match(done.stdout, /^Unknown +2 .*they stay where they are$/m)
  assert.match((await glassine('storage', 'status')).stdout, /^All 3 originals are proven/)
  await site.start()
  for (const [id, sha256] of uploads) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  assert.deepEqual(await heldKeys(site.bucket), held)
})

test('A1: Ctrl-C ends the command and not the work, which the server goes on with', async () => {
  await restoreOlder()
  const release = Promise.withResolvers<void>()
  const listing = site.bucket.faults.add({
    match: { operation: 'ListObjectsV2' },
    fault: { kind: 'hold', until: release.promise },
  })
  const command = beginCli(['storage', 'adopt', 's3', '--yes'], {
    cwd: site.folder,
    env: installationOf(site),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  command.stdout!.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await eventually(() => assert.ok(listing.hits > 0), LIMIT_MS)
  command.kill('SIGINT')
  const [code] = (await once(command, 'close')) as [number | null]
  assert.equal(code, 3, output)
  assert.match(output, /Taking over s3 is not finished: it continues when the server starts/)
  listing.remove()
  release.resolve()

  await site.start()
  await eventually(async () => {
    const { locations } = (await statusOf(site.client)) as unknown as {
      locations: { id: string; ledger: { conflict: string | null; adoption: { state: string } | null } }[]
    }
    const { ledger } = locations.find(({ id }) => id === 's3')!
    assert.deepEqual([ledger.conflict, ledger.adoption?.state], [null, 'done'])
  }, LIMIT_MS)
  for (const [id, sha256] of uploads) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  assert.deepEqual((await heldKeys(site.bucket)).sort(), held.sort())
})

test('A1: beside a running server, the command has the server do it and waits for the end', async () => {
  await restoreOlder()
  await site.start()
  const { code, stdout, stderr } = await glassine('storage', 'adopt', 's3', '--yes', '--json')
  assert.equal(code, 0, stdout + stderr)
  const { report } = JSON.parse(stdout) as { report: Report }
  assert.deepEqual([report.missing.count, report.confirmed.count], [0, uploads.size])
  for (const [id, sha256] of uploads) assert.equal(await site.client.sha256OfOriginal(id), sha256)
})
