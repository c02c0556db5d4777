/**
 * What an API key can be allowed, in Immich's words. `resource: 'action action'` stands for
 * `resource.action`. A key may hold permissions that nothing here asks for yet: clients send their fixed
 * lists.
 */
const ACTIONS = {
  activity: 'create read update delete statistics',
  adminAuth: 'unlinkAll',
  adminConfig: 'read update',
  adminSession: 'read',
  adminUser: 'create read update delete',
  album: 'create read update delete statistics share download',
  albumAsset: 'create delete',
  albumUser: 'create update delete',
  apiKey: 'create read update delete rotate',
  archive: 'read',
  asset:
    // `replace` left Immich with version 3; keys of older clients (immich-go) still ask for it.
    'read update delete statistics share view download upload copy derive replace edit.get edit.create edit.delete',
  assetFile: 'read delete download',
  auth: 'changePassword',
  authDevice: 'delete',
  backup: 'list download upload delete',
  clusterGroup: 'read leave',
  clusterGroupRequest: 'create read delete',
  duplicate: 'read delete',
  face: 'create read update delete',
  folder: 'read',
  job: 'create read',
  library: 'create read update delete statistics',
  map: 'read search',
  memory: 'create read update delete statistics',
  memoryAsset: 'create delete',
  notification: 'create read update delete',
  partner: 'create read update delete',
  person: 'create read update delete statistics merge reassign',
  pinCode: 'create update delete',
  plugin: 'create read update delete',
  queue: 'read update',
  queueJob: 'create read update delete',
  server: 'about apkLinks storage statistics versionCheck',
  serverLicense: 'read update delete',
  session: 'create read update delete lock',
  sharedLink: 'create read update delete',
  stack: 'create read update delete',
  sync: 'stream',
  syncCheckpoint: 'read update delete',
  systemConfig: 'read update',
  systemMetadata: 'read update',
  tag: 'create read update delete asset',
  timeline: 'read download',
  user: 'read update',
  userConfig: 'read',
  userLicense: 'create read update delete',
  userOnboarding: 'read update delete',
  userPreference: 'read update',
  userProfileImage: 'create read update delete',
  workflow: 'create read update delete logs',
}

/** Every permission name, `all` (each of them, those to come included) first. */
export const PERMISSIONS: readonly string[] = [
  'all',
  'maintenance',
  ...Object.entries(ACTIONS).flatMap(([resource, actions]) =>
    actions.split(' ').map((action) => `${resource}.${action}`),
  ),
]
