/** What people are told while a place is in trouble: true for the way that their own uploads go. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { UploadWays } from '../../../src/library/server/storage-overview.ts'
import { storageHealthFor } from '../../../src/library/server/storage-overview.ts'
import { recordHealth } from '../../../src/placement/locations/locations.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const anna = { userId: '0f0f0f0f-0000-4000-8000-000000000001', email: 'anna@example.org' }
const ben = { userId: '0f0f0f0f-0000-4000-8000-000000000002', email: 'ben@example.org' }
const ways = (strategy: 'local-first' | 's3-first', direct: 'on' | 'off' = 'off'): UploadWays => ({
  upload: { strategy, direct },
  rollout: null,
})

describe('health', () => {
  /** A bucket that would take direct uploads, in trouble. */
  async function inTrouble(
    t: Parameters<typeof testDatabase>[0],
    { isAway = true, originals = ['s3'] } = {},
  ) {
    const database = await testDatabase(t)
    const backend = { ...openMemoryBackend(), presign: {}, multipart: {} } as never
    const { placement, close } = await testPlacement(database.db, {
      remotes: [],
      originals,
      extra: [locationOfBackend('s3', 's3', backend)],
    })
    database.beforeDrop(close)
    const tell = (given: UploadWays, user: typeof anna | null = anna) =>
      storageHealthFor(placement, given, user)
    assert.equal((await tell(ways('s3-first'))).isDegraded, false)
    await recordHealth(placement, 's3', 'no answer', { isAway })
    return tell
  }

  test('local-first: uploading goes on while the bucket is away', async (t) => {
    const { works, waits, message } = await (await inTrouble(t))(ways('local-first'))
    assert.deepEqual(works, ['browsing', 'uploading'])
    assert.ok(waits.includes('opening and downloading originals'))
    assert.match(message ?? '', /Browsing and uploading go on; originals open again when it is back/)
  })

  test('s3-first: uploading is refused until it is back', async (t) => {
    const { works, waits, message } = await (await inTrouble(t))(ways('s3-first'))
    assert.deepEqual(works, ['browsing'])
    assert.ok(waits.includes('uploading, which is refused until then'))
    assert.match(message ?? '', /Browsing goes on\. Until it is back, uploads are refused/)
    assert.doesNotMatch(message ?? '', /uploading go/)
  })

  test('s3-first: also by a bucket that answers and is not well', async (t) => {
    const tell = await inTrouble(t, { isAway: false })
    const { works, message } = await tell(ways('s3-first'))
    assert.ok(!works.includes('uploading'))
    assert.match(message ?? '', /Uploads are refused until it works again; everything else goes on/)
    assert.match((await tell(ways('local-first'))).message ?? '', /Everything goes on meanwhile/)
  })

  test('originals that belong on the disk are uploaded, whichever bucket is away', async (t) => {
    const { works } = await (await inTrouble(t, { originals: ['local'] }))(ways('s3-first'))
    assert.ok(works.includes('uploading'))
  })

  test('a rollout: each user is told of their own way, and all others of the common one', async (t) => {
    const tell = await inTrouble(t)
    const rollout = { strategy: 's3-first' as const, percent: 0, users: ['Anna@example.org'] }
    const given = { ...ways('local-first'), rollout }
    assert.ok(!(await tell(given, anna)).works.includes('uploading'))
    assert.ok((await tell(given, ben)).works.includes('uploading'))
    assert.ok((await tell(given, null)).works.includes('uploading'))
  })

  test('direct uploads can not go on: said where they are offered', async (t) => {
    const tell = await inTrouble(t)
    const direct = /straight into the bucket/
    assert.match((await tell(ways('local-first', 'on'))).waits.join(), direct)
    assert.ok((await tell(ways('local-first', 'on'))).works.includes('uploading'))
    assert.doesNotMatch((await tell(ways('local-first', 'off'))).waits.join(), direct)
    const none = await tell(ways('s3-first', 'on'))
    assert.ok(!none.works.includes('uploading'), 'neither way goes on')
  })
})
