/**
 * What a probe finds different from the one before: kept, told, settled, and worked by at once in every
 * process.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { Log } from '../../../src/log.ts'
import type { Location } from '../../../src/placement/location.ts'
import { confirmLocation, probeLocation } from '../../../src/placement/locations/locations.ts'
import { acknowledgeChanges, openChanges } from '../../../src/placement/locations/probe-changes.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import type { StorageBackend } from '../../../src/storage/backend.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import type { ProbeReport } from '../../../src/storage/probe-report.ts'
import type { Traits } from '../../../src/storage/traits.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let backend: StorageBackend
/** What the next probe of the bucket finds. */
let next: Omit<ProbeReport, 'at' | 'latencyMs' | 'features'> & { attests?: boolean }
let logged: { fields: Record<string, unknown>; message: string }[]

beforeEach(async () => {
  database = await testDatabase()
  backend = openMemoryBackend()
  const { features } = backend
  let probes = 0
  const bucket: Location = {
    ...locationOfBackend('bucket', 'memory', backend),
    probe: async () => ({
      ...next,
      at: new Date(Date.parse('2026-01-01') + probes++ * 1_000),
      latencyMs: 1,
      features: { ...features, attestedDigests: next.attests === false ? [] : features.attestedDigests },
    }),
  }
  logged = []
  const error = (fields: object, message: string) => void logged.push({ fields: { ...fields }, message })
  const log = { debug() {}, info() {}, warn() {}, error } as Log
  rig = await testPlacement(database.db, { extra: [bucket], log })
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

async function probe(traits: Traits, more: Partial<typeof next> = {}): Promise<void> {
  next = { ok: true, findings: [], traits, ...more }
  await probeLocation(rig.placement, 'bucket')
}
const open = async () =>
  ((await openChanges(database.db)).get('bucket') ?? []).map(
    ({ trait, before, after, isWeaker }) => `${trait} ${before}->${after}${isWeaker ? ' weaker' : ''}`,
  )

test('a change is logged as an error, kept, shown in the status, and settled by a probe that finds nothing new', async () => {
  await probe({ etagIsMd5: true, conditionalPut: true, listsInOrder: true })
  assert.deepEqual(await open(), [], 'the first probe has nothing to be compared with')

  await probe({ etagIsMd5: false, conditionalPut: true, listsInOrder: false })
  assert.deepEqual(await open(), ['etagIsMd5 true->false weaker', 'listsInOrder true->false'])
  assert.deepEqual(
    logged.map(({ message, fields }) => `${message}: ${fields.trait} ${fields.before}->${fields.after}`),
    [
      'the provider changed its behaviour: etagIsMd5 true->false',
      'the provider changed its behaviour: listsInOrder true->false',
    ],
  )
  const { locations } = await storageStatus(rig.placement)
  const shown = locations.find(({ id }) => id === 'bucket')!.changes
  assert.deepEqual(
    shown.map(({ what, isWeaker }) => [what, isWeaker]),
    [
      ['the ETag of a put is its MD5', true],
      ['lists are in the order of keys', false],
    ],
  )

  await probe({ etagIsMd5: false, conditionalPut: true, listsInOrder: false })
  assert.deepEqual(await open(), [])
  const { rows } = await database.pool.query('select settled_by from probe_change')
  assert.deepEqual(rows, [{ settled_by: 'probe' }, { settled_by: 'probe' }], 'kept, though settled')
})

test('acknowledging settles what is open, of that location alone, once', async () => {
  await probe({ conditionalPut: false })
  await probe({ conditionalPut: true })
  assert.deepEqual(await open(), ['conditionalPut false->true'])
  assert.equal(await acknowledgeChanges(rig.placement, 's3', 'ada'), false)
  assert.deepEqual(await open(), ['conditionalPut false->true'])
  assert.equal(await acknowledgeChanges(rig.placement, 'bucket', 'ada'), true)
  assert.deepEqual(await open(), [])
  assert.equal(await acknowledgeChanges(rig.placement, 'bucket', 'ada'), false)
})

test('what a probe could not find out is no change, and is compared with the next that can', async () => {
  await probe({ etagIsMd5: true, conditionalPut: true })
  await probe({ conditionalPut: true })
  assert.deepEqual(await open(), [])
  await probe(
    {},
    {
      ok: false,
      findings: [{ id: 'bucket', check: 'bucket', ok: false, critical: true, detail: 'not there' }],
    },
  )
  assert.deepEqual(await open(), [])
  await probe({ etagIsMd5: false, conditionalPut: true })
  assert.deepEqual(await open(), ['etagIsMd5 true->false weaker'])
})

test('a probe that fails settles nothing', async () => {
  await probe({ etagIsMd5: true })
  await probe({ etagIsMd5: false })
  await probe(
    {},
    {
      ok: false,
      findings: [{ id: 'bucket', check: 'bucket', ok: false, critical: true, detail: 'not there' }],
    },
  )
  assert.deepEqual(await open(), ['etagIsMd5 true->false weaker'])
})

test('no more than 200 changes of a location are kept', async () => {
  for (let n = 0; n < 210; n++) await probe({ etagIsMd5: n % 2 === 0 })
  const { rows } = await database.pool.query<{ count: string; newest: boolean }>(
    'select count(*), (array_agg(after order by id desc))[1] as newest from probe_change',
  )
  assert.equal(Number(rows[0]!.count), 200)
  assert.equal(rows[0]!.newest, false)
})

test('another process works by the new features before its next write, whether they are weaker or stronger', async () => {
  const elsewhere = openMemoryBackend()
  const location = { ...rig.placement.locations.get('bucket')!, backend: elsewhere }
  const other = { ...rig.placement, locations: new Map([...rig.placement.locations, ['bucket', location]]) }
  await elsewhere.writeMarker((await backend.readMarker())!)
  await elsewhere.writeCounter((await backend.readCounter())!.text, null)
  await probe({})
  await confirmLocation(other, location)
  assert.notDeepEqual(elsewhere.features.attestedDigests, [])

  await probe({}, { attests: false })
  await confirmLocation(other, location)
  assert.deepEqual(elsewhere.features.attestedDigests, [], 'proofs fall back to reading')

  await probe({})
  await confirmLocation(other, location)
  assert.notDeepEqual(elsewhere.features.attestedDigests, [])
})
