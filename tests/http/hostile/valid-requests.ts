/**
 * For each route that reads a body or a query, one that it takes; `every-route.test.ts` makes one field after
 * another wrong. A route that changes something and is missing here fails that test: what it reads has to be
 * stated, or that it reads nothing (`{}`).
 */
type Fields = Record<string, unknown>
export type ValidRequest = { body?: Fields; query?: Fields; form?: Fields }

const id = '11111111-1111-4111-8111-111111111111'
const time = '2024-05-01T12:00:00.000Z'
const hex = (digits: number) => 'a'.repeat(digits)

const change = { isFavorite: true, visibility: 'archive', description: 'text', rating: 3 }
const place = { latitude: 1, longitude: 2, dateTimeOriginal: time }
const filter = {
  albumIds: [id],
  isNotInAlbum: true,
  type: 'IMAGE',
  visibility: 'timeline',
  isFavorite: true,
  withDeleted: false,
  takenAfter: time,
  takenBefore: time,
  createdAfter: time,
  updatedBefore: time,
  trashedAfter: time,
  city: 'text',
  make: 'text',
  rating: 3,
  personIds: [id],
  tagIds: [id],
  ocr: 'text',
  libraryId: id,
  size: 10,
}
const preferences = {
  albums: { defaultAssetOrder: 'asc' },
  avatar: { color: 'blue' },
  download: { archiveSize: 1_000_000, includeEmbeddedVideos: true },
  memories: { enabled: true, duration: 5, sidebarWeb: true },
  people: { enabled: true, minimumFaces: 3 },
  purchase: { showSupportBadge: true, hideBuyButtonUntil: time },
}
const buckets = {
  userId: id,
  albumId: id,
  personId: id,
  tagId: id,
  visibility: 'timeline',
  isFavorite: 'true',
  isTrashed: 'false',
  order: 'asc',
  orderBy: 'takenAt',
  bbox: '1,2,3,4',
}
const reach = { why: null, canUpload: true, detail: 'text' }
const albumUsers = [{ userId: id, role: 'editor' }]
const name = { name: 'text', email: 'somebody@example.org', avatarColor: 'blue' }
const account = {
  ...name,
  password: 'a long password',
  isAdmin: true,
  quotaSizeInBytes: 1,
  shouldChangePassword: true,
  storageLabel: 'text',
}
const newKey = { name: 'text', permissions: ['asset.read'] }

export const VALID_REQUESTS: Record<string, ValidRequest> = {
  'GET /api/notifications': { query: { id, level: 'warning', type: 'text', unread: 'true' } },
  'PUT /api/notifications': { body: { ids: [id], readAt: time } },
  'PUT /api/notifications/:id': { body: { readAt: time } },
  'DELETE /api/notifications': { body: { ids: [id] } },
  'DELETE /api/notifications/:id': {},
  'GET /api/storage/reconcile': { query: { location: 's3' } },
  'POST /api/storage/locations/:locationId/collections': {
    body: { planId: 'a'.repeat(16), confirm: 'collect 1 file' },
  },
  'DELETE /api/storage/collections/:id': {},
  'GET /api/storage/receipts': { query: { format: 'csv' } },
  'PUT /api/assets/:id': { body: { ...change, ...place, livePhotoVideoId: id } },
  'PATCH /api/assets/:id': { body: { ...change, ...place } },
  'PUT /api/assets': {
    body: { ids: [id], ...change, ...place, dateTimeRelative: 5, timeZone: 'Europe/Berlin' },
  },
  'PATCH /api/assets': { body: { ids: [id], ...change, timeZone: 'UTC' } },
  'DELETE /api/assets': { body: { ids: [id], force: true } },
  'GET /api/assets/statistics': { query: { isFavorite: 'true', isTrashed: 'true', visibility: 'archive' } },
  'GET /api/assets/:id/thumbnail': { query: { size: 'preview', key: 'text', slug: 'text', apiKey: 'text' } },
  'POST /api/assets/jobs': { body: { assetIds: [id], name: 'refresh-metadata' } },
  'POST /api/assets': {
    form: {
      fileCreatedAt: time,
      fileModifiedAt: time,
      isFavorite: 'true',
      visibility: 'timeline',
      duration: '1000',
      livePhotoVideoId: id,
      filename: 'name.jpg',
    },
  },
  'POST /api/assets/bulk-upload-check': { body: { assets: [{ id: 'text', checksum: hex(40) }] } },
  'POST /api/storage/uploads/check': {},
  'PUT /api/storage/uploads/check/:id': { body: reach },
  'GET /api/storage/uploads/config': { query: { origin: 'https://example.org' } },
  'GET /api/storage/uploads': { query: { ids: id, state: 'open' } },
  'POST /api/storage/uploads': {
    body: {
      fileName: 'name.jpg',
      size: 1_000,
      sha256: hex(64),
      sha1: hex(40),
      md5: hex(32),
      fileCreatedAt: time,
      fileModifiedAt: time,
      isFavorite: true,
      visibility: 'timeline',
      durationMs: 1_000,
      livePhotoVideoId: id,
    },
  },
  'POST /api/storage/uploads/:id/parts': { body: { parts: [{ number: 1, size: 5, md5: hex(32) }] } },
  'POST /api/storage/uploads/:id/confirm': {},
  'DELETE /api/storage/uploads/:id': {},
  'POST /api/trash/empty': {},
  'POST /api/trash/restore': {},
  'POST /api/trash/restore/assets': { body: { ids: [id] } },
  'POST /api/download/info': { body: { assetIds: [id], albumId: id, userId: id, archiveSize: 1_000_000 } },
  'POST /api/download/archive': { body: { assetIds: [id], archiveName: 'text' } },
  'POST /api/download/archives': { body: { assetIds: [id], archiveName: 'text' } },
  'DELETE /api/download/archives/:id': {},
  'POST /api/users/profile-image': { form: {} },
  'DELETE /api/users/profile-image': {},
  'POST /api/storage/locations/:locationId/adoption/plan': {},
  'POST /api/storage/locations/:locationId/adoption': {},
  'POST /api/storage/locations/:locationId/drain': {},
  'DELETE /api/storage/locations/:locationId/drain': {},
  'POST /api/storage/locations/:locationId/retire': {},
  'POST /api/storage/drill': { body: { location: 'text', minutes: 1 } },
  'DELETE /api/storage/drill': { query: { location: 'text' } },
  'POST /api/storage/probe': {},
  'POST /api/storage/reload': {},
  'POST /api/storage/browser-probes': {},
  'PUT /api/storage/browser-probes/:id': { body: reach },
  'POST /api/storage/locations/:locationId/acknowledge': {},
  'GET /api/storage/archive/:assetId': { query: { days: '7' } },
  'POST /api/storage/archive/:assetId/restore': { body: { tier: 'bulk', days: 7 } },
  'POST /api/storage/archive/restore': {
    body: { assetIds: [id], albumId: id, tier: 'bulk', days: 7, dryRun: true },
  },
  'PUT /api/jobs/:name': { body: { command: 'resume', force: true } },
  'POST /api/auth/admin-sign-up': { body: { ...name, password: 'a long password' } },
  'POST /api/auth/login': { body: { email: 'somebody@example.org', password: 'x'.repeat(2_000) } },
  'POST /api/auth/logout': {},
  'POST /api/auth/validateToken': {},
  'POST /api/auth/change-password': {
    body: { password: 'x'.repeat(2_000), newPassword: 'another password', invalidateSessions: false },
  },
  'PUT /api/users/me': { body: name },
  'PATCH /api/users/me': { body: name },
  'PUT /api/users/me/preferences': { body: preferences },
  'PATCH /api/users/me/preferences': { body: preferences },
  'PUT /api/users/me/onboarding': { body: { isOnboarded: true } },
  'DELETE /api/users/me/onboarding': {},
  'POST /api/system-metadata/admin-onboarding': { body: { isOnboarded: true } },
  'POST /api/admin/users': {
    body: {
      email: 'admin@example.org', // Taken: no password is hashed for it only where a field is wrong.
      name: 'text',
      password: 'short',
      isAdmin: true,
      avatarColor: 'blue',
      quotaSizeInBytes: 1,
      shouldChangePassword: true,
      storageLabel: 'text',
    },
  },
  'PUT /api/admin/users/:id': { body: account },
  'PATCH /api/admin/users/:id': { body: account },
  'DELETE /api/admin/users/:id': { body: { force: true } },
  'POST /api/admin/users/:id/restore': {},
  'GET /api/admin/users/:id/statistics': {
    query: { isFavorite: 'true', isTrashed: 'true', visibility: 'archive' },
  },
  'PUT /api/admin/users/:id/preferences': { body: preferences },
  'PATCH /api/admin/users/:id/preferences': { body: preferences },
  'POST /api/api-keys': { body: newKey },
  'PUT /api/api-keys/:id': { body: newKey },
  'PATCH /api/api-keys/:id': { body: newKey },
  'DELETE /api/api-keys/:id': {},
  'POST /api/sessions': { body: { deviceType: 'text', deviceOS: 'text', duration: 1 } },
  'DELETE /api/sessions': {},
  'DELETE /api/sessions/:id': {},
  'GET /api/timeline/buckets': { query: buckets },
  'GET /api/timeline/bucket': { query: { ...buckets, timeBucket: '2024-05-01', withCoordinates: 'true' } },
  'POST /api/search/metadata': {
    body: {
      ...filter,
      id,
      checksum: 'text',
      originalFileName: 'text',
      description: 'text',
      page: 1,
      cursor: 'text',
      order: 'asc',
      orderBy: { field: 'rating', direction: 'asc' },
      withExif: true,
    },
  },
  'POST /api/search/random': { body: { ...filter, withExif: true } },
  'POST /api/search/statistics': { body: { ...filter, description: 'text' } },
  'GET /api/map/markers': {
    query: {
      isArchived: 'true',
      isFavorite: 'true',
      fileCreatedAfter: '2024-05-01T00:00:00.000Z',
      fileCreatedBefore: '2024-05-02T00:00:00.000Z',
      withPartners: 'true',
      withSharedAlbums: 'true',
    },
  },
  'GET /api/map/reverse-geocode': { query: { lat: '52.5', lon: '13.4' } },
  'GET /api/search/suggestions': {
    query: { type: 'country', country: 'text', state: 'text', make: 'text', includeNull: 'true' },
  },
  'GET /api/albums': {
    query: { id, assetId: id, name: 'text', isOwned: 'true', isShared: 'true', shared: 'true' },
  },
  'POST /api/albums': { body: { albumName: 'text', description: 'text', assetIds: [id], albumUsers } },
  'PATCH /api/albums/:id': {
    body: {
      albumName: 'text',
      description: 'text',
      albumThumbnailAssetId: id,
      isActivityEnabled: true,
      order: 'asc',
    },
  },
  'DELETE /api/albums/:id': {},
  'PUT /api/albums/assets': { body: { albumIds: [id], assetIds: [id] } },
  'PUT /api/albums/:id/assets': { body: { ids: [id] } },
  'DELETE /api/albums/:id/assets': { body: { ids: [id] } },
  'PUT /api/albums/:id/users': { body: { albumUsers } },
  'PUT /api/albums/:id/user/:userId': { body: { role: 'editor' } },
  'DELETE /api/albums/:id/user/:userId': {},
  'GET /api/faces': { query: { id } },
  'GET /api/activities': { query: { albumId: id, assetId: id } },
  'GET /api/activities/statistics': { query: { albumId: id, assetId: id } },
}
