/** `/api/notifications`, as Immich's clients use it. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { alertMessage } from '../../../src/library/notifications/messages.ts'
import { NO_NOTIFICATIONS } from '../../../src/library/notifications/settings.ts'
import { tellAdmins, tellOwner } from '../../../src/library/notifications/tell.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'

const BACK = alertMessage('location-away', 'closed', { label: 'photos' })
const AWAY = alertMessage('location-away', 'opened', { label: 'photos' })

test('list, filter, mark as read and unread, delete: of the user alone', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient()
  await tellAdmins(api.db, NO_NOTIFICATIONS, AWAY)
  await tellAdmins(api.db, NO_NOTIFICATIONS, BACK)
  await tellOwner(api.db, NO_NOTIFICATIONS, user.userId, AWAY)
  const list = async (client = admin, query = '') =>
    (await client.send(`GET /api/notifications${query}`)).body as {
      id: string
      title: string
      readAt?: string
    }[]
  const [back, away] = await list()
  assert.deepEqual([back!.title, away!.title], [BACK.title, AWAY.title], 'the newest first')
  assertShape(back, 'NotificationDto')
  assert.equal((await list(user)).length, 1)

  const marked = await admin.send(`PUT /api/notifications/${back!.id}`, {
    readAt: '2026-05-01T00:00:00.000Z',
  })
  assert.deepEqual([marked.status, marked.body.readAt], [200, '2026-05-01T00:00:00.000Z'])
  assertShape(marked.body, 'NotificationDto')
  assert.deepEqual(
    (await list(admin, '?unread=true')).map(({ id }) => id),
    [away!.id],
  )
  assert.deepEqual(
    (await list(admin, '?unread=false')).map(({ id }) => id),
    [back!.id],
  )
  assert.deepEqual(
    (await list(admin, '?level=warning')).map(({ id }) => id),
    [away!.id],
  )
  assert.deepEqual(await list(admin, '?type=AlbumInvite'), [])
  assert.equal((await admin.send(`GET /api/notifications/${back!.id}`)).body.id, back!.id)
  const unread = await admin.send('PUT /api/notifications', { ids: [back!.id, away!.id], readAt: null })
  assert.equal(unread.status, 204)
  assert.equal((await list(admin, '?unread=true')).length, 2)

  for (const [request, body, permission] of [
    [`GET /api/notifications/${back!.id}`, undefined, 'read'],
    [`PUT /api/notifications/${back!.id}`, { readAt: null }, 'update'],
    [`PUT /api/notifications`, { ids: [back!.id], readAt: null }, 'update'],
    [`DELETE /api/notifications/${back!.id}`, undefined, 'delete'],
    [`DELETE /api/notifications`, { ids: [back!.id, randomUUID()] }, 'delete'],
  ] as const) {
    const { status, body: answer } = await user.send(request, body)
    assert.deepEqual(
      [status, answer.message],
      [400, `Not found or no notification.${permission} access`],
      request,
    )
  }
  assert.equal((await admin.send(`DELETE /api/notifications/${back!.id}`)).status, 204)
  assert.equal((await admin.send('DELETE /api/notifications', { ids: [away!.id] })).status, 204)
  assert.deepEqual(await list(), [])
  assert.equal((await list(user)).length, 1)
})
