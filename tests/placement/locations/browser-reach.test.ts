/**
 * A page's own probe: what it is given, what the server makes of its answer, and that nothing of it stays.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import {
  type BrowserProbeOffer,
  type BrowserProbeResult,
  beginBrowserProbes,
  browserReachOf,
  finishBrowserProbe,
  isOutOfReach,
  removeLateBrowserProbes,
  uploadReachOf,
} from '../../../src/placement/locations/browser-reach.ts'
import { probeLocation } from '../../../src/placement/locations/locations.ts'
import { openS3BrowserProbe } from '../../../src/storage/s3/probe/browser-probe.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const credentials = { accessKeyId: 'page', secretAccessKey: 'a-secret-that-no-page-sees' }
const ORIGIN = 'https://photos.example.org'
const ADMIN = { isAdmins: true }
const WORKED = { why: null, canUpload: true, detail: '' }
const blocked = (why: NonNullable<BrowserProbeResult['why']>, canUpload = false) => ({
  why,
  canUpload,
  detail: 'said the page',
})

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let server: StrictS3
let now: Date

beforeEach(async () => {
  database = await testDatabase()
  server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
  const settings = s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket: 'photos' })
  rig = await testPlacement(database.db, {
    extra: [
      {
        ...locationOfBackend('bucket', 's3', openS3Backend(settings, silentLog)),
        probe: (options) => probeS3(settings, silentLog, options),
        openBrowserProbe: async () => openS3BrowserProbe(settings, silentLog),
      },
    ],
  })
  now = new Date()
  rig.placement.now = () => now
  await probeLocation(rig.placement, 'bucket')
})
afterEach(async () => {
  await rig.close()
  await server.close()
  await database.drop()
})

const put = (offer: BrowserProbeOffer, body = Buffer.from(offer.body, 'base64')) =>
  fetch(offer.put.url, { method: 'PUT', headers: offer.put.headers, body: new Uint8Array(body) })
const probeKeys = async () =>
  (await server.stored.objects()).map(({ key }) => key).filter((key) => key.includes('.glassine-probe/'))
const begin = async (origin = ORIGIN) => (await beginBrowserProbes(rig.placement, origin))[0]!
const rows = async () => (await database.pool.query('select * from browser_probe')).rows

test('only locations that sign are offered, with one key of the probe and no secret', async () => {
  const offers = await beginBrowserProbes(rig.placement, ORIGIN)
  assert.deepEqual(
    offers.map(({ locationId }) => locationId),
    ['bucket'],
  )
  assert.match(
    new URL(offers[0]!.put.url).pathname,
    /^\/photos\/deep\/er\/\.glassine-probe\/browser-[0-9a-f]{32}$/,
  )
  assert.ok(!JSON.stringify(offers).includes(credentials.secretAccessKey))
  assert.equal((await rows()).length, 1, 'the key is written down before it is handed out')
})

test('a page that reached the bucket: the bytes are checked and removed, the result is kept by origin', async () => {
  const offer = await begin()
  assert.equal((await put(offer)).status, 200)
  const got = await fetch(offer.get.url, { headers: { range: 'bytes=10-19' } })
  assert.equal(got.status, 206)
  assert.equal((await probeKeys()).length, 1)

  const reach = await finishBrowserProbe(rig.placement, offer.id, WORKED, ADMIN)
  assert.equal(reach.reach, 'reachable')
  assert.deepEqual(await probeKeys(), [])
  assert.equal((await browserReachOf(database.db, 'bucket', ORIGIN))?.reach, 'reachable')
  assert.equal(await browserReachOf(database.db, 'bucket', 'https://elsewhere.example.org'), null)

  await probeLocation(rig.placement, 'bucket')
  assert.equal(
    (await browserReachOf(database.db, 'bucket', ORIGIN))?.reach,
    'reachable',
    'kept by the next probe',
  )
  const { rows: stored } = await database.pool.query("select probe from location where id = 'bucket'")
  const checks = stored[0].probe.findings.map(({ check }: { check: string }) => check)
  assert.ok(checks.includes(`browsers at ${ORIGIN}`), 'and its rules are part of it from now on')
})

test('a page is not believed that says it put and did not, or put other bytes', async () => {
  for (const tamper of [false, true]) {
    const offer = await begin()
    if (tamper)
      assert.equal((await put(offer, Buffer.alloc(1024))).status, 400, 'refused by the bucket itself')
    const reach = await finishBrowserProbe(rig.placement, offer.id, WORKED, ADMIN)
    assert.deepEqual([reach.reach, reach.why], ['blocked', 'incomplete'])
  }
})

test('what uploads need may work where the rest does not, and is trusted for a day', async () => {
  const offer = await begin()
  assert.equal(offer.put.headers['if-none-match'], '*', 'as the puts of uploads have it')
  await put(offer)
  await finishBrowserProbe(rig.placement, offer.id, blocked('cors', true), { isAdmins: false })
  assert.equal((await browserReachOf(database.db, 'bucket', ORIGIN))?.reach, 'blocked')
  assert.equal((await uploadReachOf(rig.placement, 'bucket', ORIGIN))?.canUpload, true)
  assert.equal(await uploadReachOf(rig.placement, 'bucket', 'https://elsewhere.example.org'), null)
  now = new Date(now.getTime() + 25 * 3_600_000)
  assert.equal(await uploadReachOf(rig.placement, 'bucket', ORIGIN), null)
})

test('a page is not believed that says it could upload at least, and did not', async () => {
  const offer = await begin()
  const reach = await finishBrowserProbe(rig.placement, offer.id, blocked('cors', true), ADMIN)
  assert.deepEqual([reach.why, reach.canUpload], ['incomplete', false])
  assert.equal(await uploadReachOf(rig.placement, 'bucket', ORIGIN), null)
})

test('one person’s browser that is kept out takes nothing back, an administrator’s does', async () => {
  const anybodys = { isAdmins: false }
  const first = await begin()
  await finishBrowserProbe(rig.placement, first.id, blocked('unreachable'), anybodys)
  assert.equal(
    (await browserReachOf(database.db, 'bucket', ORIGIN))?.why,
    'unreachable',
    'better than nothing',
  )
  const good = await begin()
  await put(good)
  await finishBrowserProbe(rig.placement, good.id, WORKED, anybodys)
  const elsewhere = await begin()
  const told = await finishBrowserProbe(rig.placement, elsewhere.id, blocked('unreachable'), anybodys)
  assert.equal(told.reach, 'blocked', 'who asked is told')
  assert.equal((await browserReachOf(database.db, 'bucket', ORIGIN))?.reach, 'reachable')
  assert.equal(await isOutOfReach(rig.placement, 'bucket', ORIGIN), false)

  const admins = await begin()
  await finishBrowserProbe(rig.placement, admins.id, blocked('cors'), ADMIN)
  assert.equal((await browserReachOf(database.db, 'bucket', ORIGIN))?.why, 'cors')
  for (const [why, isOut] of [
    ['unreachable', true],
    ['mixed', true],
    ['cors', false],
    ['incomplete', false],
  ] as const) {
    const origin = `https://${why}.example.org`
    const offer = await begin(origin)
    await finishBrowserProbe(rig.placement, offer.id, blocked(why), ADMIN)
    assert.equal(await isOutOfReach(rig.placement, 'bucket', origin), isOut, why)
  }
})

test('each reason has its remedy; CORS comes with the rule and the command for this origin', async () => {
  for (const why of ['cors', 'policy', 'mixed', 'unreachable', 'refused', 'incomplete'] as const) {
    const offer = await begin()
    const reach = await finishBrowserProbe(rig.placement, offer.id, blocked(why), ADMIN)
    assert.equal(reach.reach, 'blocked')
    assert.ok(reach.remedy, why)
    if (why !== 'cors') continue
    const [rule, command] = reach.paste ?? []
    assert.deepEqual(JSON.parse(rule!.text).CORSRules[0].AllowedOrigins, [ORIGIN])
    assert.match(command!.text, /^aws s3api put-bucket-cors --bucket photos .*--endpoint-url http/)
    now = new Date(now.getTime() + 11 * 60_000)
  }
})

test('a result is taken once, in time, and no probe of anybody else’s is known', async () => {
  const once = await begin()
  await finishBrowserProbe(rig.placement, once.id, blocked('cors'), ADMIN)
  const late = await begin()
  const over = { code: 'not-found' }
  await assert.rejects(finishBrowserProbe(rig.placement, once.id, WORKED, ADMIN), over)
  now = new Date(now.getTime() + 11 * 60_000)
  await assert.rejects(finishBrowserProbe(rig.placement, late.id, WORKED, ADMIN), over)
})

test('what is put after the result, or by a page that never told one, is removed when the URL has run out', async () => {
  const told = await begin()
  await put(told)
  await finishBrowserProbe(rig.placement, told.id, WORKED, ADMIN)
  await put(told)
  const silent = await begin()
  await put(silent)
  assert.equal((await probeKeys()).length, 2)

  await removeLateBrowserProbes(rig.placement)
  assert.equal((await probeKeys()).length, 2, 'not before its time')
  now = new Date(now.getTime() + 11 * 60_000)
  await removeLateBrowserProbes(rig.placement)
  assert.deepEqual(await probeKeys(), [])
  assert.deepEqual(await rows(), [])
})

test('a limited number at a time, also when many are asked for at once', async () => {
  const ends = await Promise.allSettled(Array.from({ length: 40 }, () => begin()))
  assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 32)
  assert.equal((await rows()).length, 32)
})

test('the newest eight origins are kept', async () => {
  for (let n = 0; n < 10; n++) {
    const offer = await begin(`https://host${n}.example.org`)
    await finishBrowserProbe(rig.placement, offer.id, blocked('mixed'), ADMIN)
    if (n === 5) now = new Date(now.getTime() + 11 * 60_000)
  }
  const known = Array.from({ length: 10 }, (_, n) =>
    browserReachOf(database.db, 'bucket', `https://host${n}.example.org`),
  )
  assert.deepEqual(
    (await Promise.all(known)).map((reach) => reach !== null),
    [false, false, true, true, true, true, true, true, true, true],
  )
})
