/**
 * The whole way back: a server with photos in a strict bucket makes a backup, its machine is lost, and
 * `glassine restore` with the key brings the installation back, which then takes over what the bucket holds.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { installationOf, runCli } from '../support/run-cli.ts'
import {
  drained,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
  statusOf,
} from '../support/server-with-bucket.ts'

const LIMIT_MS = 60_000
let site: ServerWithBucket
let keyFile: string
/** Asset id -> SHA-256, of what the backup knows. */
const uploads = new Map<string, string>()

const glassine = (...args: string[]) => runCli(args, { cwd: site.folder, env: installationOf(site) })

async function upload(): Promise<string> {
  const bytes = await photo(100)
  const { id } = await site.client.upload(bytes, 'photo.jpg')
  uploads.set(id, createHash('sha256').update(bytes).digest('hex'))
  return id
}

type StoredBytes = { key: string; sha256: string }

/** Every object of ours in the bucket. */
async function bucketState({ bucket }: ServerWithBucket): Promise<StoredBytes[]> {
  const ours = (await bucket.stored.objects()).filter(({ key }) => /^(users|backups)\//.test(key))
  return Promise.all(
    ours.map(async ({ key }) => {
      const bytes = await bucket.stored.bytes(key)
      return { key, sha256: createHash('sha256').update(bytes).digest('hex') }
    }),
  )
}

const backupKeys = async () => (await bucketState(site)).filter(({ key }) => key.startsWith('backups/'))

before(async () => {
  site = await startServerWithBucket({ postgres: 'embedded' })
  keyFile = join(site.folder, 'written-down.txt')
  await probed(site.client)
  for (let count = 0; count < 3; count += 1) await upload()
  await drained(site.client, LIMIT_MS)
})
after(() => site?.close())

test('a lost machine comes back from the bucket and the key', { timeout: 300_000 }, async () => {
  const album = await site.client.json<{ id: string }>('/albums', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ albumName: 'Süden', assetIds: [...uploads.keys()] }),
  })
  const made = await glassine('backup', 'now')
  assert.equal(made.code, 0, made.stdout + made.stderr)
  assert.match(made.stdout, /^A backup with [\d,]+ rows .* is verified at s3\.$/m)
  const before = await bucketState(site)
  const [backup] = await backupKeys()
  assert.match(backup!.key, /^backups\/[0-9a-f-]{36}\/[0-9TZ-]+\.[0-9a-f]{32}\.age$/)
  assert.ok(before.length > 3)
  const list = JSON.parse((await glassine('backup', 'list', '--json')).stdout) as {
    backups: { verifiedAt: { location: string }[] }[]
  }
  assert.equal(list.backups.length, 1)
  const status = await statusOf(site.client)
  assert.deepEqual(status.backups?.newest?.at.map(({ location }) => location).includes('s3'), true)
  assert.match((await glassine('storage', 'status')).stdout, /The key of the backups is not written down/)
  // A pipe is no terminal.
  const key = await glassine('backup', 'key')
  assert.equal(key.code, 2)
  const secret = (await readFile(join(site.dataDir, 'backup-key.txt'), 'utf8')).match(
    /AGE-SECRET-KEY-1\w+/,
  )![0]
  for (const { stdout, stderr } of [made, key, await glassine('storage', 'status', '--json')])
    assert.ok(!stdout.includes(secret) && !stderr.includes(secret))
  await copyFile(join(site.dataDir, 'backup-key.txt'), keyFile)

  // There is an installation: nothing is restored over it, whether it runs or not.
  const refused = await glassine('restore', '--from', 's3', '--key-file', keyFile, '--yes')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /There is an installation in this database already/)

  // What comes after the backup, and is in no catalogue yet.
  await site.server.stop()
  await site.start()
  const known = [...uploads]
  const later = await upload()
  uploads.delete(later)
  // With the later photo, which comes back.
  const people = await site.client.json<{ id: string }[]>('/admin/users')
  await drained(site.client, LIMIT_MS)
  await site.server.stop()
  assert.ok(!site.server.output().includes(secret), 'the log does not have the key')
  const held = await bucketState(site)
  await rm(site.dataDir, { recursive: true })

  // Without the key, with a wrong one, and from nowhere.
  assert.equal((await glassine('restore', '--from', 's3', '--yes')).code, 2)
  assert.equal((await glassine('restore', '--from', 'nowhere', '--key-file', keyFile)).code, 2)
  const plan = await glassine('restore', '--from', 's3', '--key-file', keyFile)
  assert.equal(plan.code, 3, plan.stderr)
  assert.match(plan.stdout, /It brings back 1 user, 3 assets, 1 album and \d+ jobs?: [\d,]+ rows in all/)
  assert.match(plan.stdout, new RegExp(`--at ${backup!.key} --yes`))
  await assert.rejects(stat(join(site.dataDir, 'postgres')), /ENOENT/)

  const done = await glassine('restore', '--from', 's3', '--key-file', keyFile, '--yes', '--adopt')
  assert.ok(done.code === 0 || done.code === 3, done.stdout + done.stderr)
  assert.match(done.stdout, /^Restored: [\d,]+ rows/m)
  assert.match(done.stdout, /local is taken over/)
  assert.match(done.stdout, /s3 is taken over/)
  // The photo that came later and its files; the backup is known again.
  assert.match(done.stdout, /^Unknown +1 /m)
  // Its key says whose it is.
  assert.match(done.stdout, /^Brought back: 1 asset, /m)
  const now = await bucketState(site)
  for (const one of held) assert.ok(isThere(now, one), `${one.key} was removed or changed`)
  assert.equal((await stat(join(site.dataDir, 'backup-key.txt'))).mode & 0o777, 0o600)

  await site.start()
  // The session of before the loss is valid: it is in the backup.
  for (const [id, sha256] of known) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  const again = await site.client.json<{ id: string; albumName: string; assetCount: number }>(
    `/albums/${album.id}`,
  )
  assert.deepEqual([again.albumName, again.assetCount], ['Süden', 3])
  assert.deepEqual(await site.client.json('/admin/users'), people)
  const after = await statusOf(site.client)
  assert.equal(after.originals.total.count, 4)
  assert.equal((await site.client.json<{ id: string }>(`/assets/${later}`)).id, later)
  assert.equal(after.originals.atRisk.count, 0)
  assert.equal(after.backups?.count, 1, 'the backup that it came from counts')
  // And it goes on.
  await upload()
  const next = await glassine('backup', 'now')
  assert.equal(next.code, 0, next.stdout + next.stderr)
  assert.equal((await backupKeys()).length, 2)
})

test('a damaged newest backup is named with the one before it, and passed over only when told', {
  timeout: 200_000,
}, async () => {
  const keys = (await backupKeys()).map(({ key }) => key)
  const [older, newest] = keys
  await site.server.stop()
  await rm(site.dataDir, { recursive: true })
  await site.bucket.stored.tamper(newest!)
  const before = await bucketState(site)
  for (const yes of [[], ['--yes']]) {
    const answer = await glassine('restore', '--from', 's3', '--key-file', keyFile, ...yes)
    assert.equal(answer.code, 1, answer.stdout)
    assert.ok(answer.stderr.includes(newest!) && answer.stderr.includes(`--at ${older}`), answer.stderr)
    await assert.rejects(stat(join(site.dataDir, 'postgres')), /ENOENT/)
  }
  const done = await glassine('restore', '--from', 's3', '--key-file', keyFile, '--at', older!, '--yes')
  assert.equal(done.code, 0, done.stdout + done.stderr)
  assert.match(done.stdout, /glassine storage adopt local --yes\n +glassine storage adopt s3 --yes/)
  assert.deepEqual(await bucketState(site), before, 'restore changes nothing at the location')
  const again = await glassine('restore', '--from', 's3', '--key-file', keyFile, '--at', older!, '--yes')
  assert.match(again.stderr, /There is an installation/)
})

function isThere(state: StoredBytes[], one: StoredBytes): boolean {
  return state.some(({ key, sha256 }) => key === one.key && sha256 === one.sha256)
}
