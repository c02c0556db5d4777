/** What clients are told of a place that can't be reached, and who may make one so. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AppError } from '../../../src/errors.ts'
import { retryAfterSeconds, toErrorResponse } from '../../../src/http/error-response.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { createBreaker } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer } from '../../support/server.ts'

describe('Retry-After', () => {
  const now = new Date('2026-05-04T12:00:00Z')
  const inMs = (ms: number) =>
    new StorageError('unavailable', 'away', { retryAt: new Date(now.getTime() + ms) })

  test('says when the place is tried again, wherever in the chain of causes that stands', () => {
    assert.equal(retryAfterSeconds(inMs(7_200), now), 8)
    const told = new AppError('unavailable', 'told', { cause: new Error('on', { cause: inMs(3_000) }) })
    assert.equal(retryAfterSeconds(told, now), 3)
  })

  test('is sensible where nobody knows, where the time has come, and where it is far', () => {
    assert.equal(retryAfterSeconds(new AppError('unavailable', 'away'), now), 10)
    assert.equal(retryAfterSeconds('odd', now), 10)
    assert.equal(retryAfterSeconds(inMs(-5_000), now), 1)
    assert.equal(retryAfterSeconds(inMs(1e9), now), 3_600)
  })

  test('what a job would put off is a 503 with the time that the job would wait', () => {
    const later = new RetryLater('a copy of 4711 at local is being given up', 79_500)
    const { status, body } = toErrorResponse(later)
    assert.equal(status, 503)
    assert.doesNotMatch(body.message, /4711|local/)
    assert.equal(retryAfterSeconds(later, now), 80)
    assert.equal(retryAfterSeconds(new AppError('unavailable', 'told', { cause: later }), now), 80)
  })

  test('an error of a location is a 503 that names no bucket and no key', () => {
    const { status, body } = toErrorResponse(new StorageError('unavailable', 'GetObject of users/1 failed'))
    assert.equal(status, 503)
    assert.doesNotMatch(body.message, /GetObject|users/)
  })
})

test('a drill by HTTP: administrators alone, bounded, told to everybody without details', async (t) => {
  const breaker = createBreaker('bucket photos')
  const bucket = {
    ...locationOfBackend('s3', 'memory', withBreaker(openMemoryBackend(), breaker)),
    breaker,
  }
  const server = await startTestServer(t, { remotes: [], extra: [bucket] })
  const { admin } = server
  const user = await server.newUser('somebody')
  const post = (who: typeof admin, body: unknown) =>
    who.call('/storage/drill', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  assert.equal((await post(user, { location: 's3', minutes: 5 })).status, 403)
  assert.equal((await user.call('/storage/drill', { method: 'DELETE' })).status, 403)
  for (const body of [
    {},
    { location: 's3' },
    { location: 's3', minutes: 0 },
    { location: 's3', minutes: 61 },
    { location: 's3', minutes: '5' },
    { location: 'local', minutes: 5 },
    { location: 'nowhere', minutes: 5 },
  ]) {
    assert.equal((await post(admin, body)).status, 400, JSON.stringify(body))
  }
  assert.deepEqual(await user.json('/storage/health'), {
    isDegraded: false,
    since: null,
    message: null,
    works: [],
    waits: [],
  })

  const begun = await post(admin, { location: 's3', minutes: 2 })
  assert.equal(begun.status, 201)
  const { endsAt } = (await begun.json()) as { endsAt: string }
  const told = await user.json<Record<string, unknown>>('/storage/health')
  assert.equal(told.isDegraded, true)
  assert.equal('places' in told, false)
  const { places } = await admin.json<{ places: { id: string; drillEndsAt: string }[] }>('/storage/health')
  assert.deepEqual(
    places.map(({ id, drillEndsAt }) => [id, drillEndsAt]),
    [['s3', endsAt]],
  )
  const { locations } = await admin.json<{ locations: { id: string; drill: unknown; health: string }[] }>(
    '/storage/status',
  )
  assert.deepEqual(
    locations.map(({ id, drill, health }) => [id, drill !== null, health]),
    [
      ['local', false, 'unknown'],
      ['s3', true, 'unhealthy'],
    ],
  )
  const probed = await admin.call('/storage/probe', { method: 'POST' })
  assert.equal(probed.status, 200)
  assert.equal((await admin.json<{ isDegraded: boolean }>('/storage/health')).isDegraded, true)

  const { stopped } = await admin.json<{ stopped: string[] }>('/storage/drill?location=s3', {
    method: 'DELETE',
  })
  assert.deepEqual(stopped, ['s3'])
  await server.runJobs()
  assert.equal((await admin.json<{ isDegraded: boolean }>('/storage/health')).isDegraded, false)
})
