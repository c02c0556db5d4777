/** A folder on a share that hangs: its calls are never answered, and no signal ends them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { knownKey } from '../../../src/placement/keys.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { createBreaker, DEFAULT_BREAKER_RULES } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withCallLimit } from '../../../src/storage/guards/with-call-limit.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { eventually } from '../../support/eventually.ts'

test('calls that hang hold so many threads, and no more come however long it lasts; then all goes on', async () => {
  const files = openMemoryBackend()
  const { head, readMarker } = files
  const stuck: (() => void)[] = []
  const hang = () =>
    new Promise<never>((_, reject) => stuck.push(() => reject(new StorageError('unavailable', 'late'))))
  Object.assign(files, { head: hang, readMarker: hang })
  const rules = { ...DEFAULT_BREAKER_RULES, answerWithinMs: 20, coolDownMs: 20, failures: 3 }
  const guarded = withBreaker(withCallLimit(files, 3), createBreaker('folder /mnt/nas', rules))
  const backend = withRetry(withLimits(guarded, { reads: 8, writes: 1, others: 3 }), {
    attempts: 1,
    delayMs: 1,
    log: silentLog,
  })
  const key = knownKey('users/a/b/original.00000000000000000000000000000000.jpg')
  for (let call = 0; call < 20; call += 1) await assert.rejects(backend.head(key), { kind: 'unavailable' })
  await eventually(() => assert.equal(stuck.length, 3))
  for (let call = 0; call < 5; call += 1) await assert.rejects(backend.head(key), { kind: 'unavailable' })
  assert.equal(stuck.length, 3)

  Object.assign(files, { head, readMarker })
  for (const answer of stuck) answer()
  await eventually(async () => assert.equal(await backend.head(key), null))
})
