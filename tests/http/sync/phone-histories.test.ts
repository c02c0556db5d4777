/**
 * Whatever people do, a phone that has synced shows what the API shows. Random histories over two servers of
 * one database; `SYNC_HISTORIES` many (4), `SYNC_SEED` repeats one, and makes it shorter.
 */
import { test } from 'node:test'
import fc from 'fast-check'
import { buildHttpServer } from '../../../src/http/server.ts'
import { silentLog } from '../../../src/log.ts'
import { startTestServer } from '../../support/server.ts'
import { assertPhoneShowsApi } from '../../support/sync/phone-against-api.ts'
import { runHistory, STEPS, type Step } from '../../support/sync/phone-world.ts'

const HISTORIES = Number(process.env.SYNC_HISTORIES ?? 4)
const SEED = process.env.SYNC_SEED

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom(...STEPS),
  who: fc.nat(2),
  other: fc.nat(2),
  what: fc.nat(7),
  which: fc.nat(3),
  server: fc.nat(1),
})

test('a phone that has synced shows what the API shows', async (t) => {
  const server = await startTestServer(t)
  const parts = {
    config: { uploads: { maxBytes: 1e9 } },
    log: silentLog,
    db: server.db,
    pool: server.pool,
    placement: server.placement,
    mediaTools: null as never,
  }
  const second = await buildHttpServer(parts)
  t.after(() => second.close())
  const urls = [server.url, await second.listen({ host: '127.0.0.1', port: 0 })]
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), (steps) =>
      runHistory({ server, urls }, steps, assertPhoneShowsApi),
    ),
    {
      numRuns: HISTORIES,
      ...(SEED !== undefined && { seed: Number(SEED) }),
      endOnFailure: SEED === undefined,
    },
  )
})
