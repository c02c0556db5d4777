/** What people are told of: once when it is found, once when it is over, and each what concerns them. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { checkAlerts } from '../../../src/library/notifications/alerts.ts'
import { NO_NOTIFICATIONS } from '../../../src/library/notifications/settings.ts'
import { backUpDatabase } from '../../../src/placement/backups/make-backup.ts'
import type { Client } from '../../support/client.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../../support/server.ts'

type Told = { id: string; level: string; title: string; description: string; readAt?: string }
const told = (client: Client) => client.json<Told[]>('/notifications')
const titles = async (client: Client) => (await told(client)).map(({ title }) => title)

async function open(t: TestContext, options: TestServerOptions = {}) {
  const server = await startTestServer(t, options)
  return { ...server, check: () => checkAlerts(server.placement, NO_NOTIFICATIONS) }
}

/** Its only copies are found bad, or good again. */
const setState = ({ pool }: TestServer, assetId: string, state: 'suspect' | 'verified') =>
  pool.query(
    `update replica set state = $2, actor = 'a test' where state in ('verified', 'suspect')
       and object_id = (select original_object_id from asset where id = $1)`,
    [assetId, state],
  )

test('an owner is told which photo is at risk, and nobody else is; both ends are told once', async (t) => {
  const server = await open(t)
  const { admin, check } = server
  const [anna, ben] = [await server.newUser('anna'), await server.newUser('ben')]
  const mine = await anna.upload(randomBytes(1_000), 'wedding.jpg')
  await ben.upload(randomBytes(1_000), 'holiday.jpg')
  assert.deepEqual(await check(), { opened: 0, closed: 0 })

  await setState(server, mine.id, 'suspect')
  assert.deepEqual(await check(), { opened: 1, closed: 0 })
  assert.deepEqual(await check(), { opened: 0, closed: 0 })
  const [risk] = await told(anna)
  assert.equal(risk!.level, 'error')
  assert.equal(risk!.title, 'One of your photos is at risk')
  assert.match(risk!.description, /^The last good copy of wedding\.jpg was found damaged or missing/)
  assert.deepEqual(await titles(ben), [])
  assert.deepEqual(await titles(admin), ['1 photo at risk'])
  assert.doesNotMatch(JSON.stringify(await told(admin)), /wedding/)

  await setState(server, mine.id, 'verified')
  assert.deepEqual(await check(), { opened: 0, closed: 1 })
  assert.deepEqual(await check(), { opened: 0, closed: 0 })
  assert.deepEqual(await titles(anna), ['One of your photos is safe again', 'One of your photos is at risk'])
  assert.deepEqual(await titles(admin), ['1 photo safe again', '1 photo at risk'])

  await setState(server, mine.id, 'suspect')
  assert.equal((await check()).opened, 1, 'at risk again is another event')
})

test('of several processes that look at the same time, one tells', async (t) => {
  const server = await open(t)
  const anna = await server.newUser('anna')
  const photos = await Promise.all([1, 2, 3].map((name) => anna.upload(randomBytes(1_000), `${name}.jpg`)))
  for (const state of ['suspect', 'verified'] as const) {
    for (const { id } of photos) await setState(server, id, state)
    const changes = await Promise.all([server.check(), server.check(), server.check(), server.check()])
    const sum = changes.reduce((all, { opened, closed }) => all + opened + closed, 0)
    assert.equal(sum, 3, state)
  }
  const all = (await told(anna)).map(({ description }) => description)
  assert.equal(all.length, 2, 'three at a time are one message')
  assert.match(all[0]!, /^1\.jpg, 2\.jpg and 3\.jpg are no longer at risk/)
})

test('what its owner has put into the trash is no news, and neither is that it is gone', async (t) => {
  const server = await open(t)
  const anna = await server.newUser('anna')
  const { id } = await anna.upload(randomBytes(1_000), 'one.jpg')
  await setState(server, id, 'suspect')
  await server.check()
  await server.pool.query('update asset set deleted_at = now() where id = $1', [id])
  assert.deepEqual(await server.check(), { opened: 0, closed: 0 })
  assert.deepEqual(await titles(anna), ['One of your photos is at risk'])
  assert.deepEqual(await titles(server.admin), ['1 photo at risk'])
})

test("an administrator's own photo is one message, with its name", async (t) => {
  const server = await open(t)
  const { id } = await server.admin.upload(randomBytes(1_000), 'mine.jpg')
  await setState(server, id, 'suspect')
  await server.check()
  assert.deepEqual(await titles(server.admin), ['One of your photos is at risk'])
})

const AWAY = `update location set is_healthy = false, health_error = 'no route', health_changed_at = now() - $1::interval
  where id = 's3'`
const events: {
  name: string
  begin: (server: TestServer) => Promise<unknown>
  grow: (server: TestServer) => Promise<unknown>
  end: (server: TestServer) => Promise<unknown>
  titles: [opened: string, closed: string]
  options?: TestServerOptions
}[] = [
  {
    name: 'a location that is away for a day',
    begin: ({ pool }) => pool.query(AWAY, ['23 hours']),
    grow: ({ pool }) => pool.query(AWAY, ['25 hours']),
    end: ({ pool }) => pool.query(`update location set is_healthy = true, health_changed_at = now()`),
    titles: ['A storage location has been away for long', 'A storage location is back'],
  },
  {
    name: 'fewer copies than asked for for a day',
    begin: ({ pool }) => pool.query(`update home set since = now() - interval '9 days'`),
    grow: ({ pool }) => pool.query(`update stored_object set created_at = now() - interval '25 hours'`),
    end: (server) => server.runJobs(),
    titles: ['1 photo with fewer copies than asked for', 'All photos have their copies again'],
  },
  {
    name: 'what a scrub has found and nothing heals',
    async begin(server) {
      await server.runJobs()
      await server.pool.query(
        `update replica set state = 'suspect', actor = 'scrub' where location_id = 'local' and object_id in (
           select original_object_id from asset)`,
      )
    },
    grow: async ({ pool }) => {
      await pool.query('alter table placement_event disable trigger user')
      await pool.query(`update placement_event set at = now() - interval '25 hours'`)
      await pool.query('alter table placement_event enable trigger user')
    },
    end: ({ pool }) =>
      pool.query(`update replica set state = 'verified', actor = 'test' where state = 'suspect'`),
    options: { originals: ['local', 's3'] },
    titles: ['1 damaged file could not be repaired', 'Damaged files are repaired'],
  },
  {
    name: 'an old backup',
    begin: ({ pool }) =>
      pool.query(`update installation set created_at = now() - interval '2 days 23 hours'`),
    grow: ({ pool }) => pool.query(`update installation set created_at = now() - interval '3 days 1 hour'`),
    end: async ({ placement }) => backUpDatabase(placement),
    titles: ['No backup for 3 days', 'There is a good backup again'],
    options: { backupsEveryMs: 24 * 3_600_000 },
  },
]

for (const { name, begin, grow, end, titles: expected, options } of events) {
  test(`administrators are told of ${name}, once, and when it is over`, async (t) => {
    const server = await open(t, options)
    await server.admin.upload(randomBytes(1_000), 'one.jpg')
    const user = await server.newUser('anna')
    await begin(server)
    assert.deepEqual(await server.check(), { opened: 0, closed: 0 }, 'normal work so far')
    await grow(server)
    assert.deepEqual(await server.check(), { opened: 1, closed: 0 })
    assert.deepEqual(await server.check(), { opened: 0, closed: 0 })
    assert.deepEqual(await titles(server.admin), [expected[0]])
    await end(server)
    assert.deepEqual(await server.check(), { opened: 0, closed: 1 })
    assert.deepEqual(await server.check(), { opened: 0, closed: 0 })
    assert.deepEqual(await titles(server.admin), [expected[1], expected[0]])
    assert.deepEqual(await titles(user), [])
  })
}
