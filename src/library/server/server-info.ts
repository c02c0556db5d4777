/** What the server says of itself to Immich's clients. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { isBeingRebuilt } from '../../placement/catalogue/adoption-state.ts'
import { VERSION } from '../../version.ts'
import { TRASH_MS } from '../assets/trash.ts'
import { DELETE_DELAY_MS } from '../users/deletion.ts'
import { hasUsers } from '../users/users.ts'
import { isAdminOnboarded } from './admin-onboarding.ts'

/** The Immich release whose API this server speaks; clients compare its major number with their own. */
export const API_VERSION = { major: 3, minor: 2, patch: 2, prerelease: null } as const
const VERSION_TEXT = `${API_VERSION.major}.${API_VERSION.minor}.${API_VERSION.patch}`

/**
 * Immich's `ServerFeaturesDto`. False hides a whole area in its clients, so whatever is not there says false.
 */
export function serverFeatures() {
  return {
    search: true,
    passwordLogin: true,
    trash: true,
    sidecar: true,
    // Settings come from a file; false would offer a page for changing them.
    configFile: true,
    smartSearch: false,
    facialRecognition: false,
    duplicateDetection: false,
    ocr: false,
    map: true,
    reverseGeocoding: true,
    importFaces: false,
    oauth: false,
    oauthAutoLaunch: false,
    email: false,
    realtimeTranscoding: false,
  }
}

/**
 * Immich's `ServerConfigDto`. Without a user, clients show the sign-up, unless users are being brought back.
 */
export async function serverConfig(db: Database) {
  const isInitialized = (await hasUsers(db)) || (await isBeingRebuilt(db))
  return {
    isInitialized,
    isOnboarded: isInitialized && (await isAdminOnboarded(db)),
    maintenanceMode: false,
    externalDomain: '',
    loginPageMessage: '',
    publicUsers: true,
    trashDays: TRASH_MS / 86_400_000,
    userDeleteDelay: DELETE_DELAY_MS / 86_400_000,
    minFaces: 3,
    oauthButtonText: 'Login with OAuth',
    // No map from elsewhere: it would tell a stranger where the photos were taken.
    mapLightStyleUrl: '',
    mapDarkStyleUrl: '',
  }
}

/**
 * Immich's `ServerAboutResponseDto`. Tools of Immich's ecosystem read `version` as a semantic version of its
 * API; Glassine's own is `build`.
 */
export function serverAbout() {
  return {
    version: `v${VERSION_TEXT}`,
    versionUrl: `https://github.com/immich-app/immich/releases/tag/v${VERSION_TEXT}`,
    licensed: false,
    build: `glassine ${VERSION}`,
    nodejs: process.versions.node,
  }
}

/** Where Immich's Android app of the same version is. */
export function apkLinks() {
  const release = `https://github.com/immich-app/immich/releases/download/v${VERSION_TEXT}`
  return {
    arm64v8a: `${release}/app-arm64-v8a-release.apk`,
    armeabiv7a: `${release}/app-armeabi-v7a-release.apk`,
    universal: `${release}/app-release.apk`,
    x86_64: `${release}/app-x86_64-release.apk`,
  }
}

/** Immich's `ServerVersionHistoryResponseDto[]`, newest first. */
export async function versionHistory(db: Database) {
  const rows = await db.selectFrom('version_history').selectAll().orderBy('created_at', 'desc').execute()
  return rows.map((row) => ({ id: row.id, version: row.version, createdAt: row.created_at.toISOString() }))
}

/** Notes at start that this version runs on this database; a version that ran last is not noted again. */
export async function recordVersion(db: Database): Promise<void> {
  await sql`
    insert into version_history (version) select ${VERSION_TEXT}
    where ${VERSION_TEXT} is distinct from (select version from version_history order by created_at desc limit 1)`.execute(
    db,
  )
}
