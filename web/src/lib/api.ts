/**
 * The server's API as this page uses it. Own types, only the fields that are read; the shapes are Immich 3.2.2's, and
 * `/storage/*` is Glassine's. The session travels in a SameSite=Lax cookie, which is what keeps other sites out.
 */
import type {
  Album,
  ApiKey,
  Archive,
  Asset,
  BrowserProbeOffer,
  BrowserProbeResult,
  BrowserReach,
  Bucket,
  BucketColumns,
  JobFailure,
  JobQueue,
  Receipt,
  Restorees,
  RestorePlan,
  RestoreTier,
  ServerConfig,
  SheetFilter,
  StorageHealth,
  StorageStatus,
  User,
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

type CallOptions = { body?: unknown; signal?: AbortSignal; isPublic?: boolean }

/** One JSON call. Throws `ApiError`; an expired session also leads to the login page. `AbortError` passes through. */
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
    throw new ApiError(0, 'The server does not answer. Check the connection; nothing is lost.')
  }
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T
  const { message, errors } = await readError(response)
  if (response.status === 401 && !options.isPublic) expireSession()
  throw new ApiError(response.status, message, errors)
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
    return { message: details === '' ? message : `${message}. ${details}`, errors }
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

// --- the server and the account ---------------------------------------------------------------------------------

export const getServerConfig = () => call<ServerConfig>('GET', '/server/config', { isPublic: true })
export const getMediaTypes = () =>
  call<{ image: string[]; video: string[]; sidecar: string[] }>('GET', '/server/media-types')
export const getVersion = () => call<{ version: string }>('GET', '/server/about')
export const getMe = () => call<User>('GET', '/users/me', { isPublic: true })
export const updateMe = (body: { name?: string; email?: string }) => call<User>('PUT', '/users/me', { body })
export const logIn = (email: string, password: string) =>
  call<{ userId: string }>('POST', '/auth/login', { body: { email, password }, isPublic: true })
export const signUp = (body: { email: string; password: string; name: string }) =>
  call<User>('POST', '/auth/admin-sign-up', { body, isPublic: true })
export const logOut = () => call<{ successful: boolean }>('POST', '/auth/logout', { isPublic: true })
export const changePassword = (body: { password: string; newPassword: string }) =>
  call<User>('POST', '/auth/change-password', { body })
export const getApiKeys = () => call<ApiKey[]>('GET', '/api-keys')
export const createApiKey = (name: string) =>
  call<{ secret: string; apiKey: ApiKey }>('POST', '/api-keys', { body: { name, permissions: ['all'] } })
export const deleteApiKey = (id: string) => call<void>('DELETE', `/api-keys/${id}`)

// --- assets and the timeline ------------------------------------------------------------------------------------

export const getBuckets = (filter: SheetFilter, signal?: AbortSignal) =>
  call<Bucket[]>('GET', `/timeline/buckets${query({ ...filter, ...visibilityOf(filter) })}`, { signal })
export const getBucket = (timeBucket: string, filter: SheetFilter, signal?: AbortSignal) =>
  call<BucketColumns>('GET', `/timeline/bucket${query({ timeBucket, ...filter, ...visibilityOf(filter) })}`, {
    signal,
  })
/** The trash holds archived photographs too; everything else shows what belongs on the timeline. */
const visibilityOf = (filter: SheetFilter) =>
  filter.isTrashed || filter.albumId ? {} : { visibility: 'timeline' }

export const getAsset = (id: string, signal?: AbortSignal) => call<Asset>('GET', `/assets/${id}`, { signal })
export const setFavorite = (ids: string[], isFavorite: boolean) =>
  call<void>('PUT', '/assets', { body: { ids, isFavorite } })
export const trashAssets = (ids: string[]) => call<void>('DELETE', '/assets', { body: { ids, force: false } })
export const deleteAssets = (ids: string[]) => call<void>('DELETE', '/assets', { body: { ids, force: true } })
export const restoreAssets = (ids: string[]) =>
  call<unknown>('POST', '/trash/restore/assets', { body: { ids } })
export const emptyTrash = () => call<{ count: number }>('POST', '/trash/empty')
export const restoreTrash = () => call<{ count: number }>('POST', '/trash/restore')
export const searchByName = (originalFileName: string, signal?: AbortSignal) =>
  call<{ assets: { items: Asset[]; total: number } }>('POST', '/search/metadata', {
    body: { originalFileName, size: 30 },
    signal,
  })
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

// --- albums -----------------------------------------------------------------------------------------------------

export const getAlbums = () => call<Album[]>('GET', '/albums')
export const getAlbum = (id: string) => call<Album>('GET', `/albums/${id}`)
export const createAlbum = (albumName: string, assetIds: string[] = []) =>
  call<Album>('POST', '/albums', { body: { albumName, assetIds } })
export const renameAlbum = (id: string, albumName: string) =>
  call<Album>('PATCH', `/albums/${id}`, { body: { albumName } })
export const deleteAlbum = (id: string) => call<void>('DELETE', `/albums/${id}`)
export const addToAlbum = (id: string, ids: string[]) =>
  call<{ id: string; success: boolean; error?: string }[]>('PUT', `/albums/${id}/assets`, { body: { ids } })
export const removeFromAlbum = (id: string, ids: string[]) =>
  call<{ id: string; success: boolean; error?: string }[]>('DELETE', `/albums/${id}/assets`, {
    body: { ids },
  })

// --- storage ----------------------------------------------------------------------------------------------------

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
  call<{ failures: JobFailure[] }>('GET', '/storage/failures', { signal })
export const getQueues = (signal?: AbortSignal) => call<Record<string, JobQueue>>('GET', '/jobs', { signal })
export const commandQueue = (name: string, command: 'pause' | 'resume' | 'start' | 'clear-failed') =>
  call<JobQueue>('PUT', `/jobs/${name}`, { body: { command, force: false } })
export const probeLocations = () => call<StorageStatus>('POST', '/storage/probe')
export const beginBrowserProbes = () =>
  call<{ probes: BrowserProbeOffer[] }>('POST', '/storage/browser-probes')
export const finishBrowserProbe = (id: string, body: BrowserProbeResult) =>
  call<BrowserReach>('PUT', `/storage/browser-probes/${id}`, { body })
/** The same for whoever uploads, and of the bucket that uploads go to. */
export const beginUploadCheck = () => call<BrowserProbeOffer>('POST', '/storage/uploads/check')
export const finishUploadCheck = (id: string, body: BrowserProbeResult) =>
  call<BrowserProbeResult>('PUT', `/storage/uploads/check/${id}`, { body })
export const acknowledgeChanges = (locationId: string) =>
  call<StorageStatus>('POST', `/storage/locations/${locationId}/acknowledge`)
