/** What can't be restored is refused, with the reason, and leaves no trace in the database. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { before, test } from 'node:test'
import fc from 'fast-check'
import type pg from 'pg'
import { HEADER_BEGIN, TOTALS_BEGIN } from '../../../src/database/backups/format.ts'
import { keyIn } from '../../../src/database/backups/key-file.ts'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { checkBackup, readHeader } from '../../../src/database/backups/read-backup.ts'
import { makeIdentity, recipientOf, seal, unseal } from '../../../src/database/backups/seal.ts'
import { writeBackup } from '../../../src/database/backups/write-backup.ts'
import { migrate } from '../../../src/database/migrate.ts'
import { silentLog } from '../../../src/log.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { eventually } from '../../support/eventually.ts'
import { emptyDatabase, testDatabase } from '../../support/postgres.ts'
import { fillDatabase } from './fill-database.ts'

const sections = [JOBS_SECTION]
let plain: Buffer
let sealed: Buffer
let key: { identity: string; recipient: string }

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 5_000) yield bytes.subarray(at, at + 5_000)
}

before(async () => {
  const { pool, drop } = await testDatabase()
  await fillDatabase(pool)
  plain = await buffer(writeBackup(pool, { version: '1.2.3', sections }))
  key = await makeIdentity()
  sealed = await buffer(seal(pieces(plain), key.recipient))
  await drop()
})

async function assertUntouched(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query(
    `select relname from pg_class
     where relnamespace::regnamespace::text in ('public', 'graphile_worker') and relkind in ('r', 'S', 'v')`,
  )
  assert.deepEqual(rows, [])
}

/** With its header or totals changed, and a digest that fits again. */
function forged(change: (header: Record<string, unknown>) => void): Buffer {
  const end = plain.indexOf(10)
  const header = JSON.parse(plain.subarray(HEADER_BEGIN.length, end).toString()) as Record<string, unknown>
  change(header)
  const totalsAt = plain.lastIndexOf(`\n${TOTALS_BEGIN}`) + 1
  const body = Buffer.concat([
    Buffer.from(`${HEADER_BEGIN}${JSON.stringify(header)}`),
    plain.subarray(end, totalsAt),
  ])
  const { rows } = JSON.parse(plain.subarray(totalsAt + TOTALS_BEGIN.length).toString()) as { rows: number }
  const totals = { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex'), rows }
  return Buffer.concat([body, Buffer.from(`${TOTALS_BEGIN}${JSON.stringify(totals)}\n`)])
}

/** The text of a backup whose rows are as many, and as long, and not the same. */
function otherLetter(plain: Buffer): Buffer {
  const copy = Buffer.from(plain)
  const at = copy.indexOf('@example.org') + 1
  assert.notEqual(at, 0, 'a row of a user is in it')
  copy.write('E', at)
  return copy
}

test('damaged, foreign and newer backups are refused, and nothing stays of them', async (t) => {
  const { pool } = await emptyDatabase(t)
  const flipped = (at: number) => {
    const copy = Buffer.from(sealed)
    copy[at]! ^= 1
    return copy
  }
  const other = await makeIdentity()
  const cases: [name: string, source: AsyncIterable<Buffer>, message: RegExp][] = [
    ['empty', unseal(pieces(Buffer.alloc(0)), key.identity), /damaged/],
    ['no backup', unseal(pieces(randomBytes(10_000)), key.identity), /damaged/],
    ['half', unseal(pieces(sealed.subarray(0, sealed.length / 2)), key.identity), /damaged/],
    ['without its last byte', unseal(pieces(sealed.subarray(0, -1)), key.identity), /damaged/],
    ['a bit of the header', unseal(pieces(flipped(60)), key.identity), /damaged|another key/],
    ['a bit in the middle', unseal(pieces(flipped(sealed.length >> 1)), key.identity), /damaged/],
    ['a bit at the end', unseal(pieces(flipped(sealed.length - 1)), key.identity), /damaged/],
    ['another key', unseal(pieces(sealed), other.identity), /made for another key/],
    ['the text ends early', pieces(plain.subarray(0, plain.length - 200)), /damaged/],
    [
      'without its last line',
      pieces(plain.subarray(0, plain.lastIndexOf(`\n${TOTALS_BEGIN}`) + 1)),
      /ends early/,
    ],
    ['a letter of a row', pieces(otherLetter(plain)), /its digest is another one/],
    ['something follows', pieces(Buffer.concat([plain, Buffer.from('x\n')])), /follows its end/],
    ['newer format', pieces(forged((header) => (header.format = 2))), /newer Glassine/],
    [
      'newer migration',
      pieces(forged((header) => (header.migrations as object[]).push({ name: '9999-later', sha256: '00' }))),
      /newer Glassine .* migration 9999-later/,
    ],
    [
      'another text of a migration',
      pieces(forged((header) => Object.assign((header.migrations as object[])[0]!, { sha256: '00' }))),
      /another text of the migration/,
    ],
    [
      'a wrong count of rows',
      pieces(
        forged((header) => {
          for (const table of header.tables as { rows: number }[]) table.rows += 1
        }),
      ),
      /rows instead of/,
    ],
    [
      'another column',
      pieces(forged((header) => (header.tables as { columns: string[] }[])[1]!.columns.push('more'))),
      /other columns|do not begin where/,
    ],
  ]
  for (const [name, source, message] of cases) {
    await assert.rejects(loadBackup(pool, source, { sections }), message, name)
    await assertUntouched(pool)
  }
  // The same database takes the right one.
  await loadBackup(pool, unseal(pieces(sealed), key.identity), { sections })
  await assert.rejects(
    loadBackup(pool, unseal(pieces(sealed), key.identity), { sections }),
    /There is an installation in this database already/,
  )
})

test('a header that does not open may be damaged, and what follows it can only be that', async () => {
  const other = await makeIdentity()
  const codeOf = (bytes: Buffer, identity: string) =>
    checkBackup(unseal(pieces(bytes), identity)).then(
      () => 'fine',
      (error: Error & { code: string }) => error.code,
    )
  const flipped = Buffer.from(sealed)
  flipped[60]! ^= 1
  for (const bytes of [Buffer.alloc(0), sealed.subarray(0, 40), flipped])
    assert.equal(await codeOf(bytes, key.identity), 'invalid')
  assert.equal(await codeOf(sealed, other.identity), 'invalid')
  for (const bytes of [sealed.subarray(0, -1), sealed.subarray(0, sealed.length / 2)])
    assert.equal(await codeOf(bytes, key.identity), 'corrupt')
})

test('a server that sets the database up meanwhile keeps its queue, with its jobs', async (t) => {
  const target = await emptyDatabase(t)
  // While the restore reads its first bytes, a server starts, and people upload.
  const slow = async function* () {
    await migrate(target.pool, silentLog)
    await target.pool.query("select graphile_worker.add_job('replicate-object', '{}'::json, job_key => 'x')")
    yield* pieces(plain)
  }
  await assert.rejects(
    loadBackup(target.pool, slow(), { sections }),
    /There is an installation in this database already/,
  )
  const { rows } = await target.pool.query('select from graphile_worker.jobs')
  assert.equal(rows.length, 1)
})

test('no flipped bit and no shorter end of a sealed backup is ever read as one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(sealed.length - 1), fc.nat(7), fc.boolean(), async (at, bit, cut) => {
      const copy = Buffer.from(sealed)
      copy[at]! ^= 1 << bit
      const bytes = cut ? sealed.subarray(0, at) : copy
      await assert.rejects(checkBackup(unseal(pieces(bytes), key.identity)))
    }),
    { numRuns: 60 },
  )
})

test('a database that holds anything is refused', async (t) => {
  const { pool } = await emptyDatabase(t)
  await pool.query('create table mine (id int)')
  await assert.rejects(loadBackup(pool, pieces(plain), { sections }), /The database holds mine/)
  await pool.query('drop table mine')
  await assertUntouched(pool)
})

test('a row that breaks a constraint lets nothing of the backup stay', async (t) => {
  const source = await testDatabase(t)
  await fillDatabase(source.pool)
  const client = await source.pool.connect()
  await client.query('begin; set local session_replication_role = replica')
  await client.query('delete from app_user where id = (select user_id from session limit 1)')
  await client.query('commit')
  client.release()
  const bad = await buffer(writeBackup(source.pool, { version: '1.2.3', sections }))
  const { pool } = await emptyDatabase(t)
  await assert.rejects(loadBackup(pool, pieces(bad), { sections }), /violates foreign key constraint/)
  await assertUntouched(pool)
})

test('a key is told from what is none, and never repeated', async () => {
  assert.equal(await recipientOf(keyIn(`# a remark\n\n ${key.identity.toLowerCase()} \n`)), key.recipient)
  const mistyped = key.identity.replace(/.$/, (last) => (last === 'Q' ? 'P' : 'Q'))
  for (const wrong of ['', 'secret', mistyped, key.recipient])
    await assert.rejects(recipientOf(keyIn(wrong)), (error: Error) => {
      assert.match(error.message, /This is no backup key/)
      assert.ok(!`${error.message}${error.stack}`.includes(wrong.slice(-20)) || wrong.length < 20)
      return true
    })
})

test('whatever ends the reading of a backup, its source is given up', async () => {
  const other = await makeIdentity()
  // More than what is decrypted at a time: most of it is still to come.
  const long = Buffer.concat([plain.subarray(0, plain.indexOf(10) + 1), randomBytes(2_000_000)])
  const large = await buffer(seal(pieces(long), key.recipient))
  for (const [identity, act] of [
    [other.identity, (source: AsyncIterable<Buffer>) => assert.rejects(checkBackup(source), /another key/)],
    [key.identity, (source: AsyncIterable<Buffer>) => readHeader(source)],
  ] as const) {
    let isClosed = false
    const source = (async function* () {
      try {
        yield* pieces(large)
        await new Promise(() => undefined)
      } finally {
        isClosed = true
      }
    })()
    await act(unseal(source, identity))
    await eventually(async () => assert.ok(isClosed), 5_000)
  }
})
