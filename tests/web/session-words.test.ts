import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceName, lastUse } from '../../web/src/lib/account/session-words.ts'

test('B14: a session is named by what is known of its device', () => {
  assert.equal(deviceName({ deviceType: 'Firefox', deviceOS: 'Linux' }), 'Firefox on Linux')
  assert.equal(deviceName({ deviceType: 'Pixel 9', deviceOS: '' }), 'Pixel 9')
  assert.equal(deviceName({ deviceType: '', deviceOS: 'iOS' }), 'iOS')
  assert.equal(deviceName({ deviceType: 'iOS', deviceOS: 'iOS' }), 'iOS')
  assert.equal(deviceName({ deviceType: '', deviceOS: '' }), 'An unknown device')
})

test('B14: the last use of a session is told in days of the calendar', () => {
  const now = new Date(2026, 2, 30, 0, 5)
  assert.match(lastUse(new Date(2026, 2, 30, 0, 1).toISOString(), now), /^today, /)
  assert.equal(lastUse(new Date(2026, 2, 29, 23, 59).toISOString(), now), 'yesterday')
  // Over the change to summer time.
  assert.equal(lastUse(new Date(2026, 2, 28, 1, 0).toISOString(), now), '2 days ago')
  // The server's clock may be ahead.
  assert.match(lastUse(new Date(2026, 2, 30, 0, 9).toISOString(), now), /^today, /)
})
