import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { SyncEntityType, SyncRequestType } from '@immich/sdk'
import { DEPRECATED_TYPES, LINE_TYPES, REQUEST_TYPES } from '../../../src/library/sync/names.ts'
import { startTestServer } from '../../support/server.ts'
import {
  ackAll,
  ackAndExpectNothing,
  acknowledge,
  parseLines,
  post,
  readStream,
  sync,
  typesOf,
} from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

const RESET_LINE = [{ type: 'SyncResetV1', data: {}, ack: 'SyncResetV1|reset' }]

test('the protocol of the sync stream', async (t) => {
  const server = await startTestServer(t)
  let count = 0
  const newUser = () => server.newUser(`user${count++}`)
  const sessionOf = async (user: Awaited<ReturnType<typeof newUser>>) =>
    (await user.json<{ id: string; current: boolean }[]>('/sessions')).find(({ current }) => current)!.id
  const flag = async (user: Awaited<ReturnType<typeof newUser>>, isPendingSyncReset: boolean) => {
    const session = await (
      await post(user, `/sessions/${await sessionOf(user)}`, { isPendingSyncReset }, 'PATCH')
    ).json()
    assert.equal((session as { isPendingSyncReset: boolean }).isPendingSyncReset, isPendingSyncReset)
  }
  const completeBefore = async (user: Awaited<ReturnType<typeof newUser>>, days: number) =>
    server.pool.query(
      `insert into sync_checkpoint (session_id, type, id)
       values ($1, 'SyncCompleteV1', sync_floor((extract(epoch from now() - $2 * interval '1 day') * 1e6)::bigint))`,
      [await sessionOf(user), days],
    )

  await t.test('1. the order of types contains each type exactly once', () => {
    const all = [...REQUEST_TYPES, ...Object.keys(DEPRECATED_TYPES)]
    assert.deepEqual(all.toSorted(), Object.values(SyncRequestType).toSorted())
    assert.deepEqual([...LINE_TYPES].toSorted(), Object.values(SyncEntityType).toSorted())
  })

  await t.test('2. AlbumsV1 comes after AlbumAssetsV2', () => {
    assert.ok(REQUEST_TYPES.indexOf('AlbumsV1') > REQUEST_TYPES.indexOf('AlbumAssetsV2'))
  })

  await t.test('3. a new session has nothing to sync', async () => {
    assert.deepEqual(await sync(await newUser(), 'AssetsV2'), [])
  })

  await t.test('4. a complete sync 60 days ago is too old', async () => {
    const user = await newUser()
    await completeBefore(user, 60)
    assert.deepEqual(await readStream(user, ['AssetsV2']), RESET_LINE)
  })

  await t.test('5. one 7 days ago is not', async () => {
    const user = await newUser()
    await completeBefore(user, 7)
    assert.deepEqual(await sync(user, 'AssetsV2'), [])
  })

  await t.test('6. without the flag there is no reset', async () => {
    const user = await newUser()
    assert.deepEqual(await sync(user, 'AssetsV2'), [])
  })

  await t.test('7. with the flag there is the reset line alone', async () => {
    const user = await newUser()
    await flag(user, true)
    assert.deepEqual(await readStream(user, ['AssetsV2']), RESET_LINE)
    await flag(user, false)
    assert.deepEqual(await sync(user, 'AssetsV2'), [])
  })

  await t.test('8. the flag hides what was not acknowledged', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    assert.deepEqual(typesOf(await sync(user, 'AssetsV2')), ['AssetV2'])
    await flag(user, true)
    assert.deepEqual(await readStream(user, ['AssetsV2']), RESET_LINE)
  })

  await t.test('9. a request that resets is answered at once', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    await flag(user, true)
    assert.deepEqual(typesOf(await readStream(user, ['AssetsV2'], { reset: true })), [
      'AssetV2',
      'SyncCompleteV1',
    ])
  })

  await t.test('10. an acknowledged reset sends everything again', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    await ackAndExpectNothing(user, await sync(user, 'AssetsV2'), 'AssetsV2')
    await flag(user, true)
    const reset = await readStream(user, ['AssetsV2'])
    // What else is in the list is void.
    await acknowledge(user, [`AssetV2|${crypto.randomUUID()}`, ...reset.map(({ ack }) => ack)])
    assert.deepEqual(typesOf(await sync(user, 'AssetsV2')), ['AssetV2'])
  })

  await t.test('no types give the last line alone, and types twice give lines once', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    assert.deepEqual(await sync(user), [])
    assert.equal((await sync(user, 'AssetsV2', 'AssetsV2')).length, 1)
    // What this server does not have.
    const empty = [
      'PartnersV1',
      'StacksV1',
      'PartnerAssetsV2',
      'MemoriesV1',
      'PeopleV1',
      'AssetFacesV2',
      'AssetOcrV1',
    ]
    assert.deepEqual(await sync(user, ...empty), [])
  })

  await t.test('acks are listed, the last of a type counts, and they are deleted by type', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    await addAsset(server.db, user.userId)
    const lines = await readStream(user, ['AssetsV2'])
    const [first, second, complete] = lines.map(({ ack }) => ack)
    await acknowledge(user, [second!, complete!, first!])
    assert.deepEqual(await user.json('/sync/ack'), [
      { type: 'AssetV2', ack: first },
      { type: 'SyncCompleteV1', ack: complete },
    ])
    assert.equal((await sync(user, 'AssetsV2')).length, 1)
    assert.equal((await post(user, '/sync/ack', { types: [] }, 'DELETE')).status, 204)
    assert.equal((await post(user, '/sync/ack', { types: ['AssetV2', 'AssetV1'] }, 'DELETE')).status, 204)
    assert.equal((await sync(user, 'AssetsV2')).length, 2)
    assert.equal((await post(user, '/sync/ack', {}, 'DELETE')).status, 204)
    assert.deepEqual(await user.json('/sync/ack'), [])
    assert.equal((await post(user, '/sync/ack', { acks: [] })).status, 204)
  })

  await t.test('what is wrong is refused before anything is stored', async () => {
    const user = await newUser()
    const answer = async (path: string, body: unknown, method?: string) => {
      const response = await post(user, path, body, method)
      return { status: response.status, ...((await response.json()) as object) } as {
        status: number
        message: string
        errors?: { path: string[]; message: string }[]
      }
    }
    const unknown = await answer('/sync/stream', { types: ['Nonsense'] })
    assert.equal(unknown.status, 400)
    assert.match(JSON.stringify(unknown), /Invalid option: expected one of/)
    const old = await answer('/sync/stream', { types: ['AssetsV1'] })
    assert.deepEqual(
      [old.status, old.message],
      [400, 'SyncRequestType.AssetsV1 is deprecated, use SyncRequestType.AssetsV2 instead'],
    )
    const id = crypto.randomUUID()
    const wrong = await answer('/sync/ack', { acks: [`AssetV2|${id}`, `Nonsense|${id}`] })
    assert.deepEqual([wrong.status, wrong.message], [400, 'Invalid ack type: Nonsense'])
    assert.equal((await answer('/sync/ack', { acks: ['AssetV2|nonsense'] })).status, 400)
    assert.equal((await answer('/sync/ack', { acks: [`AssetV2|${id}|nonsense`] })).status, 400)
    const many = await answer('/sync/ack', { acks: Array(1001).fill(`AssetV2|${id}`) })
    assert.match(JSON.stringify(many), /Too big: expected array to have <=1000 items/)
    assert.deepEqual(await user.json('/sync/ack'), [])
  })

  await t.test('API keys are refused, with and without the permission', async () => {
    const user = await newUser()
    const withKey = async (permissions: string[]) => {
      const { secret } = (await (await post(user, '/api-keys', { permissions })).json()) as { secret: string }
      const headers = { 'content-type': 'application/json', 'x-api-key': secret }
      const response = await fetch(`${server.url}/api/sync/stream`, {
        method: 'POST',
        headers,
        body: '{"types":[]}',
      })
      return [response.status, ((await response.json()) as { message: string }).message]
    }
    assert.deepEqual(await withKey(['asset.read']), [403, 'Missing required permission: sync.stream'])
    assert.deepEqual(await withKey(['sync.stream']), [403, 'Sync endpoints cannot be used with API keys'])
    const nobody = await fetch(`${server.url}/api/sync/ack`)
    assert.equal(nobody.status, 401)
  })

  await t.test('an acknowledgement from a later state of the database leads to a reset', async () => {
    const user = await newUser()
    await addAsset(server.db, user.userId)
    await ackAll(user, await sync(user, 'AssetsV2'))
    await acknowledge(user, ['AssetV2|fff00000-0000-7000-8000-000000000000'])
    assert.deepEqual(await readStream(user, ['AssetsV2']), RESET_LINE)
  })

  await t.test('lines are compressed for who asks for it', async () => {
    const user = await newUser()
    for (let number = 0; number < 20; number++) await addAsset(server.db, user.userId)
    const response = await new Promise<{ encoding: string | undefined; body: Buffer }>((resolve, reject) => {
      import('node:http').then(({ request }) => {
        const headers = {
          authorization: `Bearer ${user.token}`,
          'content-type': 'application/json',
          'accept-encoding': 'gzip',
        }
        request(`${server.url}/api/sync/stream`, { method: 'POST', headers }, (answer) => {
          const pieces: Buffer[] = []
          answer.on('data', (piece) => pieces.push(piece))
          answer.on('end', () =>
            resolve({ encoding: answer.headers['content-encoding'], body: Buffer.concat(pieces) }),
          )
          answer.on('error', reject)
        }).end(JSON.stringify({ types: ['AssetsV2'] }))
      }, reject)
    })
    assert.equal(response.encoding, 'gzip')
    assert.equal(parseLines(gunzipSync(response.body).toString()).length, 21)
  })

  await t.test('more streams of one user than devices are refused, and an end makes room', async () => {
    const user = await newUser()
    // Far more than the buffers of a connection hold, so that a stream which nobody reads stays under way.
    const id = await addAsset(server.db, user.userId, { original_file_name: 'x'.repeat(200_000) })
    for (let number = 0; number < 100; number++)
      await addAsset(server.db, user.userId, { original_file_name: `${number}${'x'.repeat(200_000)}` })
    assert.ok(id)
    const gone = new AbortController()
    const open = () =>
      user.call('/sync/stream', {
        method: 'POST',
        // Compressed, all of it would fit into the buffers.
        headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
        body: '{"types":["AssetsV2"]}',
        signal: gone.signal,
      })
    const streams = [await open(), await open(), await open()]
    assert.deepEqual(
      streams.map(({ status }) => status),
      [200, 200, 200],
    )
    const refused = await open()
    assert.equal(refused.status, 503)
    assert.ok(refused.headers.get('retry-after'))
    gone.abort()
    const { eventually } = await import('../../support/eventually.ts')
    await eventually(async () => assert.equal((await post(user, '/sync/stream', { types: [] })).status, 200))
  })
})
