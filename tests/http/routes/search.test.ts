import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { sql } from 'kysely'
import { stretchesOf } from '../../../src/library/browsing/random-draw.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { type ApiUnderTest, type Client, startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const search = async (client: Client, body: object) => {
  const answer = await client.send('POST /api/search/metadata', body)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  assertShape(answer.body, 'SearchResponseDto', ['processingError'])
  return answer.body.assets
}
const idsOf = (page: { items: { id: string }[] }) => page.items.map((item) => item.id)

/** 7 assets in the order that a search answers them; the middle ones were taken at the same instant. */
async function addSeven(api: ApiUnderTest, user: Client): Promise<string[]> {
  const early = await addAsset(api.db, user.userId, { file_created_at: '2020-01-01T00:00:00Z' })
  const late = await addAsset(api.db, user.userId, { file_created_at: '2025-01-01T00:00:00Z' })
  const same: string[] = []
  for (let n = 0; n < 5; n++) same.push(await addAsset(api.db, user.userId))
  return [late, ...same.toSorted().toReversed(), early]
}

describe('POST /api/search/metadata', () => {
  test('pages by number or by cursor, in a stable order', async (t) => {
    const api = await startApi(t)
    const user = await api.newClient()
    const all = await addSeven(api, user)

    const byNumber: string[] = []
    for (let page: string | null = '1'; page !== null; ) {
      const answer = await search(user, { page: Number(page), size: 3 })
      byNumber.push(...idsOf(answer))
      assert.equal(answer.count, answer.items.length)
      page = answer.nextPage
    }
    assert.deepEqual(byNumber, all)

    const byCursor: string[] = []
    let cursor: string | undefined
    do {
      const answer = await search(user, { size: 2, cursor })
      byCursor.push(...idsOf(answer))
      cursor = answer.nextCursor ?? undefined
    } while (cursor)
    assert.deepEqual(byCursor, all)

    assert.deepEqual(idsOf(await search(user, { order: 'asc' })), all.toReversed())
    const full = await search(user, { size: 7 })
    assert.deepEqual([full.nextPage, full.nextCursor], [null, null])
    assert.deepEqual((await search(user, { page: 99 })).items, [])
    for (const field of ['localDateTime', 'fileSizeInBytes', 'rating', 'fileCreatedAt']) {
      for (const direction of ['asc', 'desc']) {
        const orderBy = { field, direction }
        const first = await search(user, { size: 4, orderBy })
        const rest = await search(user, { size: 4, orderBy, cursor: first.nextCursor })
        assert.deepEqual([...idsOf(first), ...idsOf(rest)].toSorted(), all.toSorted())
      }
    }
  })

  test('refuses sizes, pages and cursors that are none', async (t) => {
    const api = await startApi(t)
    const user = await api.newClient()
    await addSeven(api, user)
    const { nextCursor } = await search(user, { size: 1 })
    const forged = Buffer.from(JSON.stringify(['fileCreatedAt', 'desc', "now'--", randomUUID()])).toString(
      'base64url',
    )
    for (const body of [
      { size: 0 },
      { size: 1001 },
      { page: 0 },
      { cursor: 'x' },
      { cursor: forged },
      { cursor: nextCursor, order: 'asc' },
      { takenAfter: 'yesterday' },
      { checksum: 'x' },
      { albumIds: ['x'] },
      { filter: { isFavorite: { eq: true } } },
    ]) {
      assert.equal((await user.send('POST /api/search/metadata', body)).status, 400, JSON.stringify(body))
    }
    const locked = await user.send('POST /api/search/metadata', { visibility: 'locked' })
    assert.equal(locked.status, 401)
  })

  test('filters', async (t) => {
    const api = await startApi(t)
    const user = await api.newClient()
    const add = (asset: Parameters<typeof addAsset>[2], exif = {}) =>
      addAsset(api.db, user.userId, asset, exif)
    const video = await add({ type: 'VIDEO', original_file_name: 'Holiday_100%.MOV', duration_ms: 5 })
    const favorite = await add(
      { is_favorite: true, file_created_at: '2019-06-01T12:00:00Z', created_at: '2022-01-01T00:00:00Z' },
      { make: 'Canon', model: 'R5', city: 'Wien', rating: 5, description: 'A dog', lens_model: 'RF 35' },
    )
    const archived = await add({ visibility: 'archive' })
    const hidden = await add({ visibility: 'hidden' })
    await add({ visibility: 'locked' })
    const motion = await add({ live_photo_video_id: hidden })
    const trashed = await add({ deleted_at: '2024-01-01T00:00:00Z' })
    await addAsset(api.db, (await api.newClient()).userId, { is_favorite: true }, { make: 'Canon' })
    const album = (await user.send('POST /api/albums', { albumName: 'x', assetIds: [motion] })).body.id
    const { checksum } = (await search(user, { id: video })).items[0]
    const hex = Buffer.from(checksum, 'base64').toString('hex')

    const cases: [object, string[]][] = [
      [{}, [video, favorite, archived, motion]],
      [{ visibility: 'archive' }, [archived]],
      [{ visibility: 'hidden' }, [hidden]],
      [{ withDeleted: true }, [video, favorite, archived, motion, trashed]],
      [{ trashedAfter: '2023-01-01', trashedBefore: '2025-01-01' }, [trashed]],
      [{ type: 'VIDEO' }, [video]],
      [{ isFavorite: true }, [favorite]],
      [{ isFavorite: false }, [video, archived, motion]],
      [{ isMotion: true }, [motion]],
      [{ isEncoded: true }, []],
      [{ isOffline: true }, []],
      [{ id: favorite }, [favorite]],
      [{ id: randomUUID() }, []],
      [{ checksum }, [video]],
      [{ checksum: hex }, [video]],
      [{ originalFileName: 'holiday_100%' }, [video]],
      [{ originalFileName: 'holiday%mov' }, []],
      [{ originalPath: `${user.userId}/${video}` }, [video]],
      [{ takenBefore: '2019-06-01T14:00:00+02:00' }, [favorite]],
      [{ takenAfter: '2019-06-01T12:00:00.001Z' }, [video, archived, motion]],
      [{ createdBefore: '2023-01-01T00:00:00.000Z' }, [favorite]],
      [{ make: 'Canon', model: 'R5', city: 'Wien', lensModel: 'RF 35' }, [favorite]],
      [{ make: 'canon' }, []],
      [{ make: null }, [video, archived, motion]],
      [{ rating: 5 }, [favorite]],
      [{ rating: null }, [video, archived, motion]],
      [{ description: 'DOG' }, [favorite]],
      [{ albumIds: [album] }, [motion]],
      [{ albumIds: [] }, [video, favorite, archived, motion]],
      [{ isNotInAlbum: true }, [video, favorite, archived]],
      [{ personIds: [randomUUID()] }, []],
      [{ tagIds: null }, [video, favorite, archived, motion]],
      [{ tagIds: [randomUUID()] }, []],
      [
        { libraryId: null, deviceAssetId: 'ignored', withPeople: true, withStacked: true },
        [video, favorite, archived, motion],
      ],
    ]
    for (const [body, expected] of cases) {
      const { items } = await search(user, body)
      const ids = items.map((item: { id: string }) => item.id)
      assert.deepEqual(ids.toSorted(), expected.toSorted(), JSON.stringify(body))
      const count = await user.send('POST /api/search/statistics', body)
      if (!('id' in body || 'checksum' in body || 'originalFileName' in body || 'originalPath' in body)) {
        assertShape(count.body, 'SearchStatisticsResponseDto')
        assert.equal(count.body.total, expected.length, JSON.stringify(body))
      }
    }
    const [withExif] = (await search(user, { id: favorite, withExif: true })).items
    assert.deepEqual([withExif.exifInfo.make, withExif.exifInfo.rating], ['Canon', 5])
    assert.equal('exifInfo' in (await search(user, { id: favorite })).items[0], false)
  })

  test('text is found in any case, with or without accents, however they are written', async (t) => {
    const api = await startApi(t)
    const user = await api.newClient()
    const names: Record<string, string> = {}
    for (const name of [
      'K\u00f6ln.jpg',
      'Ko\u0308ln.jpg',
      'Koln.jpg',
      'STRASSE.jpg',
      'straße.jpg',
      'Łódź.jpg',
      'Ærø.jpg',
    ]) {
      names[
        await addAsset(api.db, user.userId, { original_file_name: name }, { description: `at ${name}` })
      ] = name
    }
    for (const name of ['각.jpg', 'パリ.jpg', 'Θεσσαλονίκη.jpg', '50%_off.jpg']) {
      names[await addAsset(api.db, user.userId, { original_file_name: name })] = name
    }
    const found = async (body: object) =>
      idsOf(await search(user, body))
        .map((id) => names[id])
        .toSorted()
    const cologne = ['K\u00f6ln.jpg', 'Ko\u0308ln.jpg', 'Koln.jpg'].toSorted()
    for (const text of ['koln', 'KÖLN', 'Ko\u0308ln', 'k\u00f6ln']) {
      assert.deepEqual(await found({ originalFileName: text }), cologne, text)
      assert.deepEqual(await found({ description: text }), cologne, text)
      assert.deepEqual(await found({ originalPath: text }), cologne, text)
    }
    assert.deepEqual(await found({ originalFileName: 'strasse' }), ['STRASSE.jpg', 'straße.jpg'])
    assert.deepEqual(await found({ originalFileName: 'Straße' }), ['STRASSE.jpg', 'straße.jpg'])
    assert.deepEqual(await found({ originalFileName: 'lodz' }), ['Łódź.jpg'])
    assert.deepEqual(await found({ originalFileName: 'aero' }), ['Ærø.jpg'])
    assert.deepEqual(await found({ originalFileName: 'θεσσαλονικη' }), ['Θεσσαλονίκη.jpg'])
    assert.deepEqual(await found({ originalFileName: '가' }), [], 'half a syllable is another one')
    assert.deepEqual(await found({ originalFileName: 'ﾊﾟﾘ' }), ['パリ.jpg'])
    assert.deepEqual(await found({ originalFileName: '％' }), ['50%_off.jpg'], 'no wildcard')
    assert.deepEqual(await found({ originalFileName: '_' }), ['50%_off.jpg'])
  })

  test('refuses days that no calendar has', async (t) => {
    const user = await (await startApi(t)).newClient()
    for (const takenAfter of ['2024-02-30', '2023-02-29T00:00:00.000Z', '2024-04-31T10:00:00+02:00']) {
      assert.equal((await user.send('POST /api/search/metadata', { takenAfter })).status, 400, takenAfter)
    }
    await search(user, { takenAfter: '2024-02-29' })
  })

  test('shows the contents of an album to its members only', async (t) => {
    const api = await startApi(t)
    const owner = await api.newClient()
    const member = await api.newClient()
    const stranger = await api.newClient()
    const shown = await addAsset(api.db, owner.userId, { is_favorite: true })
    const trashed = await addAsset(api.db, owner.userId, { deleted_at: new Date() })
    const albumUsers = [{ userId: member.userId, role: 'viewer' }]
    const wish = { albumName: 'x', albumUsers, assetIds: [shown, trashed] }
    const album = (await owner.send('POST /api/albums', wish)).body.id
    const other = (await owner.send('POST /api/albums', { albumName: 'other', albumUsers })).body.id

    const { items } = await search(member, { albumIds: [album], withDeleted: true })
    assert.deepEqual(
      items.map((item: { id: string; isFavorite: boolean }) => [item.id, item.isFavorite]),
      [[shown, false]],
    )
    assert.deepEqual((await search(member, { albumIds: [album, other] })).items, [], 'in both of them')
    assert.deepEqual((await search(member, {})).items, [])
    assert.equal((await search(owner, { albumIds: [album], withDeleted: true })).items.length, 2)
    for (const route of ['metadata', 'random', 'statistics']) {
      const refused = await stranger.send(`POST /api/search/${route}`, { albumIds: [album] })
      assert.deepEqual(
        [refused.status, refused.body],
        [400, { message: 'Not found or no album.read access' }],
      )
    }
  })
})

test('random answers some of what matches', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const all = await addSeven(api, user)
  const draw = async (body: object) => {
    const answer = await user.send('POST /api/search/random', body)
    assert.equal(answer.status, 200)
    assertShapes(answer.body, 'AssetResponseDto', ['processingError'])
    return answer.body as { id: string; exifInfo?: object }[]
  }
  const drawn = await draw({ size: 3, withExif: true })
  assert.equal(new Set(drawn.map((asset) => asset.id)).size, 3)
  assert.ok(drawn.every((asset) => asset.exifInfo && all.includes(asset.id)))
  assert.equal((await draw({})).length, 7)
  // 7 assets can come in 5,040 orders: ten equal draws are no chance.
  const orders = await Promise.all(Array.from({ length: 10 }, () => draw({})))
  assert.ok(new Set(orders.map((order) => order.map((asset) => asset.id).join())).size > 1)
})

test('suggestions are the values that occur', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  await addAsset(api.db, user.userId, {}, { make: 'Canon', model: 'R5' })
  await addAsset(api.db, user.userId, {}, { make: 'Canon', model: 'R6' })
  await addAsset(api.db, user.userId, {}, { make: 'Nikon', model: 'Z8' })
  await addAsset(api.db, user.userId)
  await addAsset(api.db, (await api.newClient()).userId, {}, { make: 'Leica' })
  const ask = async (query: string) => (await user.send(`GET /api/search/suggestions?${query}`)).body
  assert.deepEqual(await ask('type=camera-make'), ['Canon', 'Nikon'])
  assert.deepEqual(await ask('type=camera-make&includeNull=true'), ['Canon', 'Nikon', null])
  assert.deepEqual(await ask('type=camera-model&make=Canon'), ['R5', 'R6'])
  assert.deepEqual(await ask('type=city'), [])
  assert.equal((await user.send('GET /api/search/suggestions?type=shoe-size')).status, 400)
})

test('random assets of a large library are drawn from all of it, and as the filter says', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const id = await addAsset(api.db, user.userId)
  await sql`
    insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type, file_size,
      file_created_at, file_modified_at, local_date_time, is_favorite, processing)
    select gen_random_uuid(), owner_id, type, substr(sha256(n::text::bytea), 1, 20), original_object_id, original_file_name,
      original_mime_type, file_size, file_created_at, file_modified_at, local_date_time, n % 2 = 0, 'done'
    from asset, generate_series(1, 600) n where id = ${id}`.execute(api.db)
  const drawn = async (body: object) =>
    (await user.send('POST /api/search/random', body)).body as { id: string; isFavorite: boolean }[]
  const seen = new Set<string>()
  for (let time = 0; time < 40; time++) {
    const some = await drawn({ size: 5, isFavorite: true })
    assert.equal(new Set(some.map((asset) => asset.id)).size, 5)
    assert.ok(some.every((asset) => asset.isFavorite))
    for (const asset of some) seen.add(asset.id)
  }
  // 200 draws of 300: on average 146 different ones; fewer than 100 are no chance.
  assert.ok(seen.size > 100, `${seen.size}`)
  assert.equal((await drawn({ size: 5, city: 'Nowhere' })).length, 0)
  assert.equal((await drawn({ size: 1000 })).length, 601)
})

test('the stretches of a draw hold the share that was asked for, wherever they begin', () => {
  for (const start of [0, 1, 2 ** 48 - 1, 2 ** 47, 0.9 * 2 ** 48])
    for (const share of [0.0001, 0.1, 0.4999]) {
      const stretches = stretchesOf(Math.floor(start), share)
      const numberOf = (bytes: Buffer) => (bytes.length > 6 ? 2 ** 48 : bytes.readUIntBE(0, 6))
      const sum = stretches.reduce((total, [first, beyond]) => total + numberOf(beyond) - numberOf(first), 0)
      assert.ok(Math.abs(sum / 2 ** 48 - share) < 1e-9)
      const sorted = stretches.toSorted(([a], [b]) => Buffer.compare(a, b))
      for (const [index, [first]] of sorted.entries())
        if (index > 0) assert.ok(Buffer.compare(sorted[index - 1]![1], first) <= 0, 'none overlap')
    }
})
