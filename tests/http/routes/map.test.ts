import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { updateAssets } from '../../../src/library/assets/update-assets.ts'
import { nameAgain, nameWaitingPlaces, placesStatus } from '../../../src/library/processing/waiting-places.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from './asset-rows.ts'

const BERLIN = { latitude: 52.52, longitude: 13.405 }
const SYDNEY = { latitude: -33.8837, longitude: 151.2128 }
const ATLANTIC = { latitude: 30, longitude: -40 }

test('the map', async (t) => {
  const api = await startApi(t)

  const exifOf = (id: string) =>
    api.db.selectFrom('asset_exif').selectAll().where('asset_id', '=', id).executeTakeFirstOrThrow()
  const idsOf = (answer: { body: { id: string }[] }) => answer.body.map(({ id }) => id)

  await t.test('markers: the own timeline, newest first, where it was taken', async () => {
    const user = await api.newClient()
    const add = (day: string, asset: Parameters<typeof addAsset>[2] = {}, exif: object = BERLIN) =>
      addAsset(api.db, user.userId, { file_created_at: `2024-05-${day}T10:00:00Z`, ...asset }, exif)
    const first = await add(
      '01',
      {},
      { ...BERLIN, city: 'Berlin', state: 'State of Berlin', country: 'Germany' },
    )
    const third = await add('03', { is_favorite: true })
    const second = await add('02')
    const archived = await add('04', { visibility: 'archive' })
    await add('05', { visibility: 'hidden' })
    await add('05', { visibility: 'locked' })
    await add('05', { deleted_at: new Date() })
    await add('05', {}, {})
    await addAsset(api.db, (await api.newClient()).userId, {}, BERLIN)

    const markers = async (query = '') => idsOf(await user.send(`GET /api/map/markers?${query}`))
    const { body } = await user.send('GET /api/map/markers')
    assertShape(body[0], 'MapMarkerResponseDto')
    assert.deepEqual(body.at(-1), {
      id: first,
      ...{ lat: 52.52, lon: 13.405, city: 'Berlin', state: 'State of Berlin', country: 'Germany' },
    })
    assert.deepEqual(idsOf({ body }), [third, second, first])
    assert.deepEqual(await markers('isArchived=true'), [archived, third, second, first])
    assert.deepEqual(await markers('isArchived=false'), [third, second, first])
    assert.deepEqual(await markers('isFavorite=true'), [third])
    assert.deepEqual(await markers('isFavorite=false'), [second, first])
    assert.deepEqual(await markers('fileCreatedAfter=2024-05-02T10:00:00Z'), [third, second])
    assert.deepEqual(await markers('fileCreatedBefore=2024-05-02T10:00:00Z'), [second, first])
    assert.deepEqual(await markers('withPartners=true'), [third, second, first])
  })

  await t.test('markers of shared albums are for members', async () => {
    const owner = await api.newClient()
    const member = await api.newClient()
    const stranger = await api.newClient()
    const add = (asset: Parameters<typeof addAsset>[2] = {}) => addAsset(api.db, owner.userId, asset, BERLIN)
    const shown = await add({ is_favorite: true })
    const archived = await add({ visibility: 'archive', file_created_at: '2020-01-01T00:00:00Z' })
    const trashed = await add({ deleted_at: new Date() })
    const album = (
      await owner.send('POST /api/albums', {
        albumName: 'x',
        assetIds: [shown, archived, trashed],
        albumUsers: [{ userId: member.userId, role: 'viewer' }],
      })
    ).body.id
    for (const [client, withAlbums] of [
      [member, [shown]],
      [stranger, []],
    ] as const) {
      assert.deepEqual(idsOf(await client.send('GET /api/map/markers')), [])
      assert.deepEqual(
        idsOf(await client.send('GET /api/map/markers?withSharedAlbums=true&isArchived=true')),
        withAlbums,
      )
      // Whose favourite it is, is not told.
      assert.deepEqual(
        idsOf(await client.send('GET /api/map/markers?withSharedAlbums=true&isFavorite=true')),
        [],
      )
    }
    // Nobody sees an album whose owner is deleted.
    const markersOfMember = async () => idsOf(await member.send('GET /api/map/markers?withSharedAlbums=true'))
    const deletedAt = (deleted_at: Date | null) =>
      api.db.updateTable('app_user').set({ deleted_at }).where('id', '=', owner.userId).execute()
    await deletedAt(new Date())
    assert.deepEqual(await markersOfMember(), [])
    await deletedAt(null)
    assert.deepEqual(await markersOfMember(), [shown])
    for (const client of [owner, member]) {
      assert.deepEqual(idsOf(await client.send(`GET /api/albums/${album}/map-markers`)), [shown, archived])
    }
    // A partner sees the timeline of whoever shares it, and what is archived there as little as before.
    await owner.send('POST /api/partners', { sharedWithId: stranger.userId })
    assert.deepEqual(idsOf(await stranger.send('GET /api/map/markers?isArchived=true')), [])
    assert.deepEqual(idsOf(await stranger.send('GET /api/map/markers?withPartners=true&isArchived=true')), [
      shown,
    ])
    for (const [client, id] of [
      [stranger, album],
      [member, randomUUID()],
    ] as const) {
      const refused = await client.send(`GET /api/albums/${id}/map-markers`)
      assert.deepEqual([refused.status, refused.body.message], [400, 'Not found or no album.read access'])
    }
  })

  await t.test('what a place is called', async () => {
    const user = await api.newClient()
    const names = async (lat: unknown, lon: unknown) =>
      user.send(`GET /api/map/reverse-geocode?lat=${lat}&lon=${lon}`)
    const berlin = await names(52.52, 13.405)
    assertShape(berlin.body[0], 'MapReverseGeocodeResponseDto')
    assert.deepEqual(berlin.body, [{ city: 'Berlin', state: 'State of Berlin', country: 'Germany' }])
    assert.deepEqual((await names(30, -40)).body, [{ city: null, state: null, country: null }])
    for (const [lat, lon] of [
      [90.1, 0],
      [0, -180.1],
      ['', 0],
      ['x', 0],
      ['NaN', 0],
      [0, 'Infinity'],
    ]) {
      assert.equal((await names(lat, lon)).status, 400, `${lat} ${lon}`)
    }
    const { body } = await user.send('GET /api/server/features')
    assert.deepEqual([body.map, body.reverseGeocoding], [true, true])
  })

  await t.test('names follow coordinates that are changed, and are found', async () => {
    const user = await api.newClient()
    const [one, two] = [await addAsset(api.db, user.userId), await addAsset(api.db, user.userId, {}, SYDNEY)]
    const placeOf = async (id: string) => {
      const { city, state, country } = await exifOf(id)
      return [city, state, country]
    }
    const actor = { userId: user.userId, email: '', name: '', isAdmin: false, sessionId: null, apiKey: null }
    // Placement is asked when a live photo is linked, and by nothing that happens here.
    const parts = { db: api.db, placement: undefined as never }
    const change = (ids: string[], coordinates: typeof BERLIN) => updateAssets(parts, actor, ids, coordinates)
    await change([one], BERLIN)
    assert.deepEqual(await placeOf(one), ['Berlin', 'State of Berlin', 'Germany'])
    await change([one], SYDNEY)
    assert.deepEqual(await placeOf(one), ['Surry Hills', 'New South Wales', 'Australia'])
    await change([one, two], BERLIN)
    assert.deepEqual([await placeOf(one), await placeOf(two)].flat().slice(2, 4), ['Germany', 'Berlin'])
    const cities = (await user.send('GET /api/search/suggestions?type=city')).body
    assert.deepEqual(cities, ['Berlin'])
    const found = (await user.send('POST /api/search/metadata', { city: 'Berlin', country: 'Germany' })).body
    assert.equal(found.assets.total, 2)
    await change([one], ATLANTIC)
    assert.deepEqual(await placeOf(one), [null, null, null])
  })

  await t.test('coordinates that were there before the names get them in the background', async () => {
    const user = await api.newClient()
    await nameWaitingPlaces(api.db)
    const add = (exif: object) => addAsset(api.db, user.userId, { updated_at: '2020-01-01T00:00:00Z' }, exif)
    const berlin = await add(BERLIN)
    const atSea = await add(ATLANTIC)
    const nowhere = await add({})
    const ownWord = await add({ ...BERLIN, city: 'Home', user_set: ['city'] })
    assert.equal((await placesStatus(api.db)).waiting, 3)
    assert.equal(await nameWaitingPlaces(api.db), 3)
    assert.equal(await nameWaitingPlaces(api.db), 0)
    assert.equal((await placesStatus(api.db)).waiting, 0)

    const rowOf = async (id: string) => {
      const { city, country } = await exifOf(id)
      const { updated_at } = await api.db
        .selectFrom('asset')
        .select('updated_at')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      return [city, country, updated_at.getUTCFullYear() > 2020]
    }
    assert.deepEqual(await rowOf(berlin), ['Berlin', 'Germany', true])
    assert.deepEqual(await rowOf(ownWord), ['Home', 'Germany', true])
    // Nobody is told of what has not changed.
    assert.deepEqual(await rowOf(atSea), [null, null, false])
    assert.deepEqual(await rowOf(nowhere), [null, null, false])

    // Newer data is applied when somebody asks for it.
    await api.db
      .updateTable('asset_exif')
      .set({ places_version: 0, city: 'Old name' })
      .where('asset_id', '=', berlin)
      .execute()
    assert.equal(await nameWaitingPlaces(api.db), 0)
    assert.deepEqual(await placesStatus(api.db), { version: 1, waiting: 0, outdated: 1 })
    assert.equal(await nameAgain(api.db), 1)
    assert.equal(await nameWaitingPlaces(api.db), 1)
    assert.deepEqual(await rowOf(berlin), ['Berlin', 'Germany', true])
  })
})
