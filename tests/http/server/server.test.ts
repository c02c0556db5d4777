import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordVersion } from '../../../src/library/server/server-info.ts'
import { assertShape, assertShapes } from '../../support/http/sdk-shapes.ts'
import { startApi } from '../hostile/api-under-test.ts'
import { addAsset } from '../routes/asset-rows.ts'

test('public reads have the shapes that clients start with', async (t) => {
  const api = await startApi(t)
  assert.deepEqual((await api.send('GET /api/server/ping')).body, { res: 'pong' })
  assert.deepEqual((await api.send('GET /api/server/version')).body, {
    major: 3,
    minor: 2,
    patch: 2,
    prerelease: null,
  })

  const config = (await api.send('GET /api/server/config')).body
  assertShape(config, 'ServerConfigDto')
  assert.deepEqual([config.maintenanceMode, config.isInitialized], [false, false])
  const features = (await api.send('GET /api/server/features')).body
  assertShape(features, 'ServerFeaturesDto')
  const on = Object.keys(features).filter((name) => features[name])
  assert.deepEqual(on.toSorted(), [
    ...['configFile', 'map', 'passwordLogin', 'reverseGeocoding', 'search', 'sidecar', 'trash'],
  ])

  const types = (await api.send('GET /api/server/media-types')).body
  assertShape(types, 'ServerMediaTypesResponseDto')
  for (const extension of [...types.image, ...types.video, ...types.sidecar])
    assert.match(extension, /^\.[a-z0-9]+$/)
  assert.ok(types.image.includes('.heic') && types.video.includes('.mov') && types.sidecar.includes('.xmp'))
})

test('a version is noted once, however often it starts', async (t) => {
  const api = await startApi(t)
  await recordVersion(api.db)
  await recordVersion(api.db)
  const history = (await api.send('GET /api/server/version-history')).body
  assertShapes(history, 'ServerVersionHistoryResponseDto')
  assert.deepEqual(
    history.map((entry: { version: string }) => entry.version),
    ['3.2.2'],
  )
})

test('reads for users', async (t) => {
  const api = await startApi(t)
  const user = await api.newClient()
  const about = (await user.send('GET /api/server/about')).body
  assertShape(about, 'ServerAboutResponseDto')
  assert.equal(about.version, 'v3.2.2')
  const storage = (await user.send('GET /api/server/storage')).body
  assertShape(storage, 'ServerStorageResponseDto')
  assert.ok(storage.diskSizeRaw > 0 && storage.diskUseRaw <= storage.diskSizeRaw)
  assert.ok(storage.diskUsagePercentage > 0 && storage.diskUsagePercentage <= 100)
  assert.match(storage.diskSize, /^\d+\.\d [KMGTP]iB$/)
  assertShape((await user.send('GET /api/server/apk-links')).body, 'ServerApkLinksDto')
  assertShape((await user.send('GET /api/server/version-check')).body, 'VersionCheckStateResponseDto')
  const templates = 'GET /api/system-config/storage-template-options'
  assertShape((await user.send(templates)).body, 'SystemConfigTemplateStorageOptionDto')
  assert.equal((await (await api.newClient()).send(templates)).status, 403)
  for (const request of ['GET /api/server/license', 'GET /api/users/me/license']) {
    assert.deepEqual((await user.send(request)).status, 404)
  }
})

test('statistics count every user, the one without assets too', async (t) => {
  const api = await startApi(t)
  const admin = await api.newClient()
  const user = await api.newClient()
  await addAsset(api.db, user.userId, { file_size: 10 })
  await addAsset(api.db, user.userId, { file_size: 5_000_000_000, type: 'VIDEO', duration_ms: 1000 })
  const statistics = (await admin.send('GET /api/server/statistics')).body
  assertShape(statistics, 'ServerStatsResponseDto')
  assert.deepEqual(
    [statistics.photos, statistics.videos, statistics.usage, statistics.usagePhotos, statistics.usageVideos],
    [1, 1, 5_000_000_010, 10, 5_000_000_000],
  )
  assert.deepEqual(
    statistics.usageByUser.map((usage: { usage: number }) => usage.usage),
    [0, 5_000_000_010],
  )
})
