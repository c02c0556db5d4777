/** `on_notification`: to the one who is told, and to nobody else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { io } from 'socket.io-client'
import { alertMessage } from '../../../src/library/notifications/messages.ts'
import { NO_NOTIFICATIONS } from '../../../src/library/notifications/settings.ts'
import { tellOwner } from '../../../src/library/notifications/tell.ts'
import { until } from '../../support/eventually.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startTestServer } from '../../support/server.ts'

test('who is told something hears it at once; others hear nothing', async (t) => {
  const server = await startTestServer(t)
  const [anna, ben] = [await server.newUser('anna'), await server.newUser('ben')]
  const listen = async (token: string) => {
    const heard: { title: string }[] = []
    let isReady = false
    const socket = io(server.url, {
      path: '/api/socket.io',
      transports: ['websocket'],
      extraHeaders: { authorization: `Bearer ${token}` },
      forceNew: true,
    })
    t.after(() => socket.disconnect())
    socket.on('on_notification', (one: { title: string }) => heard.push(one))
    socket.on('on_server_version', () => (isReady = true))
    await until('the socket is greeted', () => isReady)
    return heard
  }
  const [annas, bens] = [await listen(anna.token), await listen(ben.token)]
  const message = (label: string) => alertMessage('location-away', 'closed', { label })
  await tellOwner(server.db, NO_NOTIFICATIONS, anna.userId, message('first'))
  await until('anna hears it', () => annas.length === 1)
  assertShape(annas[0], 'NotificationDto')
  // When ben has heard of his own, he would have heard of hers.
  await tellOwner(server.db, NO_NOTIFICATIONS, ben.userId, message('second'))
  await until('ben hears his', () => bens.length > 0)
  assert.deepEqual([annas.length, bens.length], [1, 1])
})
