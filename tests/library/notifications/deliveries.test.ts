/**
 * Messages outside of the page: to a real SMTP server and a real listener, tried again, and without secrets.
 */
import assert from 'node:assert/strict'
import { createHmac, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { testNotifications } from '../../../src/cli/notifications/test.ts'
import { checkAlerts } from '../../../src/library/notifications/alerts.ts'
import {
  type EmailSettings,
  NO_NOTIFICATIONS,
  type NotificationSettings,
} from '../../../src/library/notifications/settings.ts'
import { startTestServer } from '../../support/server.ts'
import { startHookServer, startMailServer } from '../../support/services/message-receivers.ts'

const SECRET = 'a secret of twenty-four letters'
const PASSWORD = 'the password of the mail server'
const email = (port: number, fields: Partial<EmailSettings> = {}): EmailSettings => ({
  host: '127.0.0.1',
  port,
  encryption: 'none',
  user: 'glassine',
  password: PASSWORD,
  from: 'Glassine <photos@example.org>',
  to: [],
  ...fields,
})

async function open(t: TestContext, settings: Partial<NotificationSettings>) {
  const notifications = { ...NO_NOTIFICATIONS, ...settings }
  const server = await startTestServer(t, { notifications })
  const anna = await server.newUser('anna')
  const { id } = await anna.upload(randomBytes(1_000), 'wedding.jpg')
  await server.runJobs()
  return {
    ...server,
    anna,
    async lose() {
      await server.pool.query(
        `update replica set state = 'suspect', actor = 'a test' where state = 'verified'
           and object_id = (select original_object_id from asset where id = $1)`,
        [id],
      )
      await checkAlerts(server.placement, notifications)
    },
    failures: async () =>
      (
        await server.pool.query<{ error: string }>(
          `select error from job_failure where job = 'deliver-notification' and solved_at is null`,
        )
      ).rows,
    waiting: async () => (await server.pool.query('select from notification_delivery')).rowCount,
  }
}

test('e-mail: administrators hear how many, the owner hears which; who has switched it off hears nothing', async (t) => {
  const smtp = await startMailServer(t, { password: PASSWORD })
  const server = await open(t, { email: email(smtp.port), publicUrl: 'https://photos.example.org' })
  await server.lose()
  await server.runJobs()
  assert.equal(await server.waiting(), 0)
  const toOwner = smtp.mails.filter(({ to }) => to[0]!.startsWith('anna'))
  const toAdmin = smtp.mails.filter(({ to }) => !to[0]!.startsWith('anna'))
  assert.deepEqual([toOwner.length, toAdmin.length], [1, 1])
  assert.match(toOwner[0]!.text, /^Subject: Glassine: One of your photos is at risk/m)
  assert.match(toOwner[0]!.text, /wedding\.jpg/)
  assert.match(toOwner[0]!.text, /https:\/\/photos\.example\.org/)
  assert.match(toAdmin[0]!.text, /^Subject: Glassine: 1 photo at risk/m)
  assert.doesNotMatch(toAdmin[0]!.text, /wedding/)

  await server.pool.query(
    `update app_user set preferences = '{"emailNotifications": {"enabled": false}}' where email like 'anna%'`,
  )
  await server.pool.query('delete from alert')
  await server.lose()
  await server.runJobs()
  assert.equal(smtp.mails.length, 3, 'the administrator alone')
})

test('e-mail that is refused fails loudly, without the password, and is sent when the server takes it', async (t) => {
  const smtp = await startMailServer(t, { password: PASSWORD })
  smtp.refuse(true)
  const server = await open(t, { email: email(smtp.port, { to: ['ops@example.org'] }) })
  await server.anna.json('/users/me/preferences', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ emailNotifications: { enabled: false } }),
  })
  await server.lose()
  await server.runJobs()
  const [failure] = await server.failures()
  assert.match(failure!.error, /^notifications\.email: 127\.0\.0\.1:\d+: .*mailbox is full/)
  assert.doesNotMatch(failure!.error, /password of/)
  const { failures } = await server.admin.json<{ failures: { error: string }[] }>('/storage/failures')
  assert.match(failures[0]!.error, /mailbox is full/, 'the storage page shows it')
  smtp.refuse(false)
  await server.pool.query('update graphile_worker._private_jobs set run_at = now()')
  await server.runJobs()
  assert.deepEqual([smtp.mails.map(({ to }) => to[0]), await server.waiting()], [['ops@example.org'], 0])
  assert.deepEqual(await server.failures(), [])
})

test('an address that the configuration names hears of the photos of one who gets no e-mail as their owner', async (t) => {
  const smtp = await startMailServer(t, { password: PASSWORD })
  const notifications = { ...NO_NOTIFICATIONS, email: email(smtp.port, { to: ['Admin@example.org'] }) }
  const server = await startTestServer(t, { notifications })
  const { id } = await server.admin.upload(randomBytes(1_000), 'wedding.jpg')
  await server.runJobs()
  await server.pool.query(
    `update app_user set email = 'admin@example.org', preferences = '{"emailNotifications": {"enabled": false}}'`,
  )
  await server.pool.query(
    `update replica set state = 'suspect', actor = 'a test' where state = 'verified'
       and object_id = (select original_object_id from asset where id = $1)`,
    [id],
  )
  await checkAlerts(server.placement, notifications)
  await server.runJobs()
  assert.deepEqual(
    smtp.mails.map(({ to }) => to[0]),
    ['Admin@example.org'],
  )
})

test('a webhook: signed, tried again with the same id, and nobody is named', async (t) => {
  const hook = await startHookServer(t, [{ status: 500 }, { status: 200 }])
  const server = await open(t, { webhook: { url: hook.url, secret: SECRET } })
  await server.lose()
  await server.runJobs()
  assert.equal(hook.calls.length, 2)
  const [first, second] = hook.calls
  assert.equal(first!.headers['webhook-id'], second!.headers['webhook-id'])
  assert.equal(first!.body, second!.body)
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = second!.headers
  const right = createHmac('sha256', SECRET).update(`${id}.${at}.${second!.body}`).digest('base64')
  assert.equal(signature, `v1,${right}`)
  assert.ok(Math.abs(Date.now() / 1_000 - Number(at)) < 120)
  const { type, data } = JSON.parse(second!.body) as { type: string; data: Record<string, string> }
  assert.deepEqual(
    [type, data.kind, data.level, data.title],
    ['alert.opened', 'photo-at-risk', 'error', '1 photo at risk'],
  )
  assert.doesNotMatch(second!.body, /wedding|anna/)
})

test('a redirect of a webhook is not followed, and says so', async (t) => {
  const other = await startHookServer(t)
  const hook = await startHookServer(t, [{ status: 307, location: other.url }])
  const server = await open(t, { webhook: { url: hook.url, secret: SECRET } })
  await server.lose()
  await server.runJobs()
  const [failure] = await server.failures()
  assert.match(failure!.error, /answered 307, a redirect, which is not followed/)
  assert.doesNotMatch(failure!.error, /hook$|letters/)
  assert.equal(other.calls.length, 0)
})

test('a test message goes every configured way, and what fails is said', async (t) => {
  const smtp = await startMailServer(t, { password: PASSWORD })
  const hook = await startHookServer(t, [{ status: 403 }])
  const { db } = await startTestServer(t)
  const run = async (settings: Partial<NotificationSettings>) => {
    const lines: string[] = []
    const code = await testNotifications({
      print: (text: string) => lines.push(text),
      style: { bold: String, dim: String, red: String, amber: String },
      withDatabase: (use: (db: unknown, config: unknown) => unknown) =>
        use(db, { notifications: { ...NO_NOTIFICATIONS, ...settings } }),
    } as never)
    return { code, lines }
  }
  const to = ['ops@example.org']
  assert.deepEqual(await run({ email: email(smtp.port, { to }) }), {
    code: 0,
    lines: ['e-mail to ops@example.org: sent'],
  })
  assert.match(smtp.mails[0]!.text, /^Subject: Glassine: A test message/m)
  const failed = await run({
    email: email(smtp.port, { to, password: 'a wrong one' }),
    webhook: { url: hook.url, secret: SECRET },
  })
  assert.equal(failed.code, 1)
  assert.match(failed.lines[0]!, /not sent: notifications\.email: 127\.0\.0\.1:\d+: Invalid login/)
  assert.match(failed.lines[1]!, /^webhook: not sent: .* answered 403$/)
  assert.doesNotMatch(failed.lines.join(), /wrong one/)
  await assert.rejects(run({}), /Neither notifications\.email nor notifications\.webhook is configured/)
})
