/**
 * The server's API as this page uses it. Own types, only the fields that are read; the shapes are Immich
 * 3.2.2's, and
 * `/storage/*` is Glassine's. The session travels in a SameSite=Lax cookie; the server refuses pages of other
 * origins besides.
 */
import type {
  About,
  Album,
  ApiKey,
  Archive,
  ArchiveProgress,
  Asset,
  AssetChange,
  AssetStatistics,
  BrowserProbeOffer,
  BrowserProbeResult,
  BrowserReach,
  Bucket,
  BucketColumns,
  JobQueue,
  Notification,
  OtherUser,
  Preferences,
  ReadingStatus,
  Receipt,
  ReconcileReport,
  Restorees,
  RestorePlan,
  RestoreTier,
  ServerConfig,
  ServerStatistics,
  Session,
  StorageFailures,
  StorageHealth,
  StorageStatus,
  TimelineFilter,
  User,
  VersionRun,
} from './api-types.ts'
import { expireSession } from './session.svelte.ts'

/** The server said no, or could not be reached (`status` 0). The message is fit to be shown. */
export class ApiError extends Error {
  readonly status: number
  readonly fields: { path: string[]; message: string }[]

  constructor(status: number, message: string, fields: { path: string[]; message: string }[] = []) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.fields = fields
  }
}

const UNREACHABLE = 'The server does not answer. Check the connection; nothing is lost.'

type CallOptions = { body?: unknown; signal?: AbortSignal; isPublic?: boolean }

/**
 * One JSON call. Throws `ApiError`; an expired session also leads to the login page. `AbortError` passes
 * through.
 */
export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  let response: Response
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers: {
        accept: 'application/json',
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, UNREACHABLE)
  }
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T
  const { message, errors } = await readError(response)
  if (response.status === 401 && !options.isPublic) expireSession()
  throw new ApiError(response.status, message, errors)
}

/** A form with a file. Throws like `call`. */
async function callForm(method: string, path: string, form: FormData): Promise<void> {
  const response = await fetch(`/api${path}`, { method, body: form }).catch(() => {
    throw new ApiError(0, UNREACHABLE)
  })
  if (response.ok) return
  const { message, errors } = await readError(response)
  if (response.status === 401) expireSession()
  throw new ApiError(response.status, message, errors)
}

/** Lines of JSON as they come. Throws like `call`; whether the last one came is for the caller to see. */
export async function* callLines<T>(path: string, { signal }: { signal: AbortSignal }): AsyncGenerator<T> {
  const response = await fetch(`/api${path}`, { method: 'POST', signal }).catch((error: unknown) => {
    if (signal.aborted) throw error
    throw new ApiError(0, UNREACHABLE)
  })
  if (!response.ok || response.body === null) {
    const { message, errors } = await readError(response)
    if (response.status === 401) expireSession()
    throw new ApiError(response.status, message, errors)
  }
  let text = ''
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    const lines = (text + part.value).split('\n')
    text = lines.pop()!
    for (const line of lines) yield JSON.parse(line) as T
  }
}

async function readError(
  response: Response,
): Promise<{ message: string; errors: { path: string[]; message: string }[] }> {
  const fallback = `The server answered ${response.status} ${response.statusText}`.trim()
  try {
    const body = (await response.json()) as {
      message?: unknown
      errors?: { path?: string[]; message?: string }[]
    }
    const errors = (body.errors ?? []).map((error) => ({
      path: error.path ?? [],
      message: error.message ?? '',
    }))
    const details = errors.map((error) => `${error.path.join('.')}: ${error.message}`).join('; ')
    const message = typeof body.message === 'string' ? body.message : fallback
    // A mistake of one field is the message itself.
    return { message: message.includes(details) ? message : `${message}. ${details}`, errors }
  } catch {
    // Not JSON: a proxy in between, whose status line is all there is to tell.
    return { message: fallback, errors: [] }
  }
}

const query = (values: Record<string, string | number | boolean | undefined>): string => {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return entries.length === 0
    ? ''
    : `?${new URLSearchParams(entries.map(([key, value]) => [key, String(value)]))}`
}

// --- the server and the account
// ---------------------------------------------------------------------------------

export const getServerConfig = () => call<ServerConfig>('GET', '/server/config', { isPublic: true })
export const getMediaTypes = () =>
  call<{ image: string[]; video: string[]; sidecar: string[] }>('GET', '/server/media-types')
export const getAbout = () => call<About>('GET', '/server/about')
export const getVersionHistory = () => call<VersionRun[]>('GET', '/server/version-history')
export const ping = (signal: AbortSignal) =>
  call<{ res: string }>('GET', '/server/ping', { isPublic: true, signal })
export const getMe = () => call<User>('GET', '/users/me', { isPublic: true })
/** `password`: only while one has to be chosen; else `changePassword`, which asks for the old one. */
export const updateMe = (body: {
  name?: string
  email?: string
  password?: string
  avatarColor?: User['avatarColor']
}) => call<User>('PUT', '/users/me', { body })
export const logIn = (email: string, password: string) =>
  call<{ userId: string }>('POST', '/auth/login', { body: { email, password }, isPublic: true })
export const signUp = (body: { email: string; password: string; name: string }) =>
  call<User>('POST', '/auth/admin-sign-up', { body, isPublic: true })
export const logOut = () => call<{ successful: boolean }>('POST', '/auth/logout', { isPublic: true })
export const changePassword = (body: {
  password: string
  newPassword: string
  invalidateSessions: boolean
  invalidateApiKeys: boolean
}) => call<User>('POST', '/auth/change-password', { body })
export const getSessions = () => call<Session[]>('GET', '/sessions')
export const endSession = (id: string) => call<void>('DELETE', `/sessions/${id}`)
export const endOtherSessions = () => call<void>('DELETE', '/sessions')
export const getUsers = () => call<OtherUser[]>('GET', '/users')
/** Deleted ones as well, for as long as there is something of them. */
export const getUsersForAdmin = () => call<User[]>('GET', '/admin/users?withDeleted=true')
export const createUser = (body: {
  email: string
  name: string
  password: string
  isAdmin: boolean
  quotaSizeInBytes: number | null
  shouldChangePassword: boolean
}) => call<User>('POST', '/admin/users', { body })
/** Fields that are absent stay as they are. */
export const updateUser = (
  id: string,
  body: {
    email?: string
    name?: string
    password?: string
    isAdmin?: boolean
    quotaSizeInBytes?: number | null
    shouldChangePassword?: boolean
  },
) => call<User>('PUT', `/admin/users/${id}`, { body })
export const deleteUser = (id: string) => call<User>('DELETE', `/admin/users/${id}`, { body: {} })
export const restoreUser = (id: string) => call<User>('POST', `/admin/users/${id}/restore`)
export const getServerStatistics = () => call<ServerStatistics>('GET', '/server/statistics')
export async function uploadPortrait(picture: Blob): Promise<void> {
  const form = new FormData()
  form.append('file', picture, 'portrait.jpg')
  await callForm('POST', '/users/profile-image', form)
}
export const deletePortrait = () => call<void>('DELETE', '/users/profile-image')
export const getApiKeys = () => call<ApiKey[]>('GET', '/api-keys')
export const createApiKey = (name: string, permissions: readonly string[]) =>
  call<{ secret: string; apiKey: ApiKey }>('POST', '/api-keys', { body: { name, permissions } })
export const deleteApiKey = (id: string) => call<void>('DELETE', `/api-keys/${id}`)

export const getPreferences = () => call<Preferences>('GET', '/users/me/preferences')
/** Values that are absent stay as they are. */
export const updatePreferences = (
  change: { [Section in keyof Preferences]?: Partial<Preferences[Section]> },
) => call<Preferences>('PUT', '/users/me/preferences', { body: change })

// --- assets and the timeline
// ------------------------------------------------------------------------------------

export const getBuckets = (filter: TimelineFilter, signal?: AbortSignal) =>
  call<Bucket[]>('GET', `/timeline/buckets${query({ ...filter, ...visibilityOf(filter) })}`, { signal })
export const getBucket = (timeBucket: string, filter: TimelineFilter, signal?: AbortSignal) =>
  call<BucketColumns>('GET', `/timeline/bucket${query({ timeBucket, ...filter, ...visibilityOf(filter) })}`, {
    signal,
  })
/** The trash and albums hold archived photographs too; everything else shows what belongs on the timeline. */
const visibilityOf = (filter: TimelineFilter) =>
  filter.isTrashed || filter.albumId ? {} : { visibility: filter.visibility ?? 'timeline' }

export const getAsset = (id: string, signal?: AbortSignal) => call<Asset>('GET', `/assets/${id}`, { signal })
export const setFavorite = (ids: string[], isFavorite: boolean) =>
  call<void>('PUT', '/assets', { body: { ids, isFavorite } })
export const trashAssets = (ids: string[]) => call<void>('DELETE', '/assets', { body: { ids, force: false } })
export const deleteAssets = (ids: string[]) => call<void>('DELETE', '/assets', { body: { ids, force: true } })
export const restoreAssets = (ids: string[]) =>
  call<unknown>('POST', '/trash/restore/assets', { body: { ids } })
export const emptyTrash = () => call<{ count: number }>('POST', '/trash/empty')
export const restoreTrash = () => call<{ count: number }>('POST', '/trash/restore')
/** One page, newest first. */
export const searchAssets = async (body: Record<string, unknown>, signal?: AbortSignal) =>
  (
    await call<{ assets: { items: Asset[]; nextCursor: string | null } }>('POST', '/search/metadata', {
      body: { ...body, orderBy: { field: 'localDateTime', direction: 'desc' } },
      signal,
    })
  ).assets
/** Without a filter: of the timeline and the archive. */
export const getAssetStatistics = (filter: {
  visibility?: 'timeline' | 'archive'
  isFavorite?: boolean
  isTrashed?: boolean
}) => call<AssetStatistics>('GET', `/assets/statistics${query(filter)}`)
export const countAssets = (body: Record<string, unknown>, signal?: AbortSignal) =>
  call<{ total: number }>('POST', '/search/statistics', { body, signal })
export const getSuggestions = (type: string) => call<string[]>('GET', `/search/suggestions${query({ type })}`)
/** What holds for all of these; fields that are absent stay as they are. */
export const updateAssets = (ids: readonly string[], change: AssetChange) =>
  call<void>('PUT', '/assets', { body: { ids, ...change } })
export const updateAsset = (id: string, change: AssetChange) =>
  call<Asset>('PUT', `/assets/${id}`, { body: change })
export const runAssetJob = (
  assetIds: readonly string[],
  name: 'refresh-metadata' | 'regenerate-thumbnail' | 'transcode-video',
) => call<void>('POST', '/assets/jobs', { body: { assetIds, name } })
export const checkUploads = (assets: { id: string; checksum: string }[]) =>
  call<{ results: { id: string; action: string; assetId?: string; isTrashed?: boolean; reason?: string }[] }>(
    'POST',
    '/assets/bulk-upload-check',
    { body: { assets } },
  )

export const thumbnailUrl = (id: string, size: 'thumbnail' | 'preview', thumbhash: string | null) =>
  `/api/assets/${id}/thumbnail${query({ size, c: thumbhash ?? undefined })}`
export const originalUrl = (id: string) => `/api/assets/${id}/original`
export const playbackUrl = (id: string, thumbhash: string | null) =>
  `/api/assets/${id}/video/playback${query({ c: thumbhash ?? undefined })}`

// --- albums
// -----------------------------------------------------------------------------------------------------

export const getAlbums = () => call<Album[]>('GET', '/albums')
export const getAlbumsOf = (assetId: string, signal?: AbortSignal) =>
  call<Album[]>('GET', `/albums${query({ assetId })}`, { signal })
export const getAlbum = (id: string) => call<Album>('GET', `/albums/${id}`)
export const createAlbum = (albumName: string, assetIds: string[] = []) =>
  call<Album>('POST', '/albums', { body: { albumName, assetIds } })
/** Fields that are absent stay as they are. */
export const updateAlbum = (
  id: string,
  body: { albumName?: string; description?: string; albumThumbnailAssetId?: string; order?: 'asc' | 'desc' },
) => call<Album>('PATCH', `/albums/${id}`, { body })
export const addAlbumMembers = (id: string, albumUsers: { userId: string; role: 'editor' | 'viewer' }[]) =>
  call<Album>('PUT', `/albums/${id}/users`, { body: { albumUsers } })
export const updateAlbumMember = (id: string, userId: string, role: 'editor' | 'viewer') =>
  call<void>('PUT', `/albums/${id}/user/${userId}`, { body: { role } })
export const removeAlbumMember = (id: string, userId: string) =>
  call<void>('DELETE', `/albums/${id}/user/${userId}`)
export const deleteAlbum = (id: string) => call<void>('DELETE', `/albums/${id}`)
export const addToAlbum = (id: string, ids: string[]) =>
  call<{ id: string; success: boolean; error?: string }[]>('PUT', `/albums/${id}/assets`, { body: { ids } })
export const removeFromAlbum = (id: string, ids: string[]) =>
  call<{ id: string; success: boolean; error?: string }[]>('DELETE', `/albums/${id}/assets`, {
    body: { ids },
  })

// --- downloads
// --------------------------------------------------------------------------------------------------

/** Which archives these become, by their sizes. */
export const planArchives = (which: { assetIds: readonly string[] } | { albumId: string }) =>
  call<{ totalSize: number; archives: { assetIds: string[]; size: number }[] }>('POST', '/download/info', {
    body: which,
  })
export const createArchive = (assetIds: readonly string[], archiveName: string) =>
  call<{ id: string; totalBytes: number; files: number }>('POST', '/download/archives', {
    body: { assetIds, archiveName },
  })
export const getArchiveProgress = (id: string) =>
  call<ArchiveProgress>('GET', `/download/archives/${id}/progress`)
export const cancelArchive = (id: string) => call<void>('DELETE', `/download/archives/${id}`)

// --- storage
// ----------------------------------------------------------------------------------------------------

export const getStorageStatus = (signal?: AbortSignal) =>
  call<StorageStatus>('GET', '/storage/status', { signal })
export const getStorageHealth = () => call<StorageHealth>('GET', '/storage/health')
export const startDrill = (location: string, minutes: number) =>
  call<{ endsAt: string }>('POST', '/storage/drill', { body: { location, minutes } })
export const stopDrill = (location: string) =>
  call<{ stopped: string[] }>('DELETE', `/storage/drill${query({ location })}`)
export const getReceipt = (assetId: string, signal?: AbortSignal) =>
  call<Receipt>('GET', `/storage/receipts/${assetId}`, { signal })
export const getArchive = (assetId: string, days: number, signal?: AbortSignal) =>
  call<Archive>('GET', `/storage/archive/${assetId}?days=${days}`, { signal })
export const restoreOriginal = (assetId: string, tier: RestoreTier, days: number) =>
  call<Archive>('POST', `/storage/archive/${assetId}/restore`, { body: { tier, days } })
/** What each tier would mean; asks for nothing. */
export const planRestores = (which: Restorees, days: number, signal?: AbortSignal) =>
  call<RestorePlan>('POST', '/storage/archive/restore', {
    body: { ...which, tier: 'bulk', days, dryRun: true },
    signal,
  })
export const restoreOriginals = (which: Restorees, tier: RestoreTier, days: number) =>
  call<RestorePlan>('POST', '/storage/archive/restore', { body: { ...which, tier, days, dryRun: false } })
export const getFailures = (signal?: AbortSignal) =>
  call<StorageFailures>('GET', '/storage/failures', { signal })
export const getReadings = (signal?: AbortSignal) =>
  call<ReadingStatus>('GET', '/storage/readings', { signal })
export const getQueues = (signal?: AbortSignal) => call<Record<string, JobQueue>>('GET', '/jobs', { signal })
export const commandQueue = (name: string, command: 'pause' | 'resume' | 'start' | 'clear-failed') =>
  call<JobQueue>('PUT', `/jobs/${name}`, { body: { command, force: false } })
export const probeLocations = () => call<StorageStatus>('POST', '/storage/probe')
export const beginBrowserProbes = () =>
  call<{ probes: BrowserProbeOffer[] }>('POST', '/storage/browser-probes')
export const finishBrowserProbe = (id: string, body: BrowserProbeResult) =>
  call<BrowserReach>('PUT', `/storage/browser-probes/${id}`, { body })
/** The same for people who upload, about the bucket that uploads go to. */
export const beginUploadCheck = () => call<BrowserProbeOffer>('POST', '/storage/uploads/check')
export const finishUploadCheck = (id: string, body: BrowserProbeResult) =>
  call<BrowserProbeResult>('PUT', `/storage/uploads/check/${id}`, { body })
export const beginAdoption = (locationId: string) =>
  call<{ location: string }>('POST', `/storage/locations/${locationId}/adoption`)
export const getReconcile = (signal?: AbortSignal) =>
  call<ReconcileReport>('GET', '/storage/reconcile', { signal })
export const decideCollection = (locationId: string, decision: { planId: string; confirm: string }) =>
  call<{ id: string }>('POST', `/storage/locations/${locationId}/collections`, { body: decision })
export const undoCollection = (id: string) =>
  call<{ id: string; kept: number }>('DELETE', `/storage/collections/${id}`)
export const acknowledgeChanges = (locationId: string) =>
  call<StorageStatus>('POST', `/storage/locations/${locationId}/acknowledge`)

export const getNotifications = () => call<Notification[]>('GET', '/notifications')
export const readNotifications = (ids: string[]) =>
  call<void>('PUT', '/notifications', { body: { ids, readAt: new Date().toISOString() } })
export const deleteNotifications = (ids: string[]) =>
  call<void>('DELETE', '/notifications', { body: { ids } })
