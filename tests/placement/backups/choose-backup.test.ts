/** Which backup is called the newest, when clocks were wrong, files were copied, or one can't be read now. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { before, test } from 'node:test'
import { makeIdentity, seal } from '../../../src/database/backups/seal.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { chooseBackup } from '../../../src/placement/backups/choose-backup.ts'
import { knownKey, timeInKey } from '../../../src/placement/keys.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const DAY_MS = 24 * 3_600_000
const NOW = new Date('2026-05-10T12:00:00Z')
const ago = (days: number) => new Date(NOW.getTime() - days * DAY_MS)
let plain: Buffer
let installation: string
let key: { identity: string; recipient: string }

before(async () => {
  const { pool, drop } = await testDatabase()
  plain = await buffer(writeBackup(pool, { version: '1.2.3', sections: [JOBS_SECTION] }))
  installation = (await pool.query<{ id: string }>('select id from installation')).rows[0]!.id
  key = await makeIdentity()
  await drop()
})

type Stored = {
  takenAt: Date
  storedAt?: Date
  storageClass?: string
  isArchived?: boolean
  isDamaged?: boolean
}

/** A location that holds these; each is as good as a backup of that time for who reads its first line. */
async function holding(all: Stored[]) {
  const backend = openMemoryBackend()
  const told = new Map<string, Stored>()
  const keys: string[] = []
  for (const one of all) {
    const text = plain
      .toString('latin1')
      .replace(/"takenAt":"[^"]+"/, `"takenAt":"${one.takenAt.toISOString()}"`)
    const bytes = one.isDamaged
      ? Buffer.from('no backup')
      : await buffer(seal(Readable.from([Buffer.from(text, 'latin1')]), key.recipient))
    const name = `backups/${installation}/${timeInKey(one.takenAt)}.${randomUUID().replaceAll('-', '')}.age`
    await backend.put(knownKey(name), {
      size: bytes.length,
      digests: [{ algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') }],
      open: () => Readable.from([bytes]),
    })
    told.set(name, one)
    keys.push(name)
  }
  const { get, list } = backend
  backend.list = async function* (...given) {
    for await (const info of list.apply(backend, given)) {
      const { takenAt, storedAt, storageClass } = told.get(info.key)!
      yield { ...info, modifiedAt: storedAt ?? takenAt, ...(storageClass && { storageClass }) }
    }
  }
  backend.get = async (name, ...given) => {
    if (told.get(name)!.isArchived) throw new StorageError('archived', 'the object is archived')
    return get.call(backend, name, ...given)
  }
  const location = locationOfBackend('s3', 'memory', backend)
  return {
    keys,
    choose: async (at?: string) => {
      const chosen = await chooseBackup(location, key.identity, at, NOW).catch((error: Error) => error)
      return chosen instanceof Error ? chosen.message : (chosen.found.key as string)
    },
  }
}

test('a backup that a clock which was ahead has made long ago is not the newest one', async () => {
  const ahead = { takenAt: ago(-700), storedAt: ago(30) }
  const { keys, choose } = await holding([ahead, { takenAt: ago(2) }, { takenAt: ago(1) }])
  assert.equal(await choose(), keys[2])
  assert.equal(await choose(keys[0]), keys[0])
  assert.equal(await choose(ago(1.5).toISOString()), keys[1])
  // In the past of this machine by now, it is still later than the location has it.
  const past = await holding([{ takenAt: ago(0.5), storedAt: ago(300) }, { takenAt: ago(1) }])
  assert.equal(await past.choose(), past.keys[1])
})

test('with a clock that is ahead still, nobody but a person can tell which one is the newest', async () => {
  const ahead = { takenAt: ago(-700), storedAt: ago(0.1) }
  const { keys, choose } = await holding([{ takenAt: ago(2) }, { takenAt: ago(1) }, ahead])
  const refused = await choose()
  assert.match(refused, /has a time of a clock that was wrong/)
  for (const named of [keys[2]!, keys[1]!]) assert.ok(refused.includes(`--at ${named}`), refused)
  assert.ok(!refused.includes(keys[0]!))
  assert.equal(await choose(keys[2]), keys[2])
  // A folder on a disk has the time of the same clock.
  const both = await holding([{ takenAt: ago(1) }, { takenAt: ago(-700) }])
  assert.match(await both.choose(), /or the clock of this machine is/)
})

test('a clock that was put far back, or a copy of the bucket, is asked about', async () => {
  const behind = { takenAt: new Date('1970-01-02T00:00:00Z'), storedAt: ago(0.1) }
  const { keys, choose } = await holding([{ takenAt: ago(2) }, behind])
  const refused = await choose()
  assert.match(refused, /is not the one that arrived last/)
  for (const named of keys) assert.ok(refused.includes(`--at ${named}`), refused)
  assert.equal(await choose(keys[1]), keys[1])
  // An old one was put into another class by its rule, after the newest was made.
  const moved = { takenAt: ago(40), storedAt: ago(0.1), storageClass: 'STANDARD_IA' }
  const ruled = await holding([moved, { takenAt: ago(1) }])
  assert.equal(await ruled.choose(), ruled.keys[1])
})

test('archived backups are named, with what to do, and none is restored in their place in silence', async () => {
  const archived = { isArchived: true, storageClass: 'DEEP_ARCHIVE' }
  const newest = await holding([
    { takenAt: ago(3) },
    { takenAt: ago(2), ...archived },
    { takenAt: ago(1), ...archived },
  ])
  const refused = await newest.choose()
  assert.match(refused, /in the console of the provider/)
  for (const name of newest.keys.slice(1)) assert.ok(refused.includes(`${name} (DEEP_ARCHIVE)`), refused)
  assert.ok(refused.endsWith(`--at ${newest.keys[0]}`))
  assert.equal(await newest.choose(newest.keys[0]), newest.keys[0])
  const older = await holding([{ takenAt: ago(30), ...archived }, { takenAt: ago(1) }])
  assert.equal(await older.choose(), older.keys[1])
  const all = await holding([{ takenAt: ago(1), ...archived }])
  assert.match(await all.choose(), /No backup at .* can be read now\. Archived, /)
})

test('one whose beginning is damaged is not told to be fine with another key', async () => {
  const { keys, choose } = await holding([{ takenAt: ago(2) }, { takenAt: ago(1), isDamaged: true }])
  const refused = await choose()
  assert.match(refused, /another key than this one, or its beginning is damaged/)
  assert.ok(refused.includes(`--at ${keys[0]}`))
})
