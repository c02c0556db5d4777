/**
 * The tables that Immich's phone app (schema 31) keeps, with their keys and constraints. Dates are ISO texts;
 * what the app keeps as numbers of enums is text here, with the same values allowed.
 */
export const PHONE_SCHEMA = `
pragma foreign_keys = on;
create table user (id text primary key, name text not null, email text not null, hasProfileImage int not null,
  profileChangedAt text not null, avatarColor text not null, deletedAt text) strict, without rowid;
create table auth_user (id text primary key, name text not null, email text not null, isAdmin int not null,
  hasProfileImage int not null, profileChangedAt text not null, avatarColor text not null,
  quotaSizeInBytes int not null, quotaUsageInBytes int not null, pinCode text) strict, without rowid;
create table user_metadata (userId text not null references user on delete cascade, key text not null,
  value text not null, primary key (userId, key)) strict, without rowid;
create table partner (sharedById text not null references user on delete cascade,
  sharedWithId text not null references user on delete cascade, inTimeline int not null,
  primary key (sharedById, sharedWithId)) strict, without rowid;
create table remote_asset (id text primary key, name text not null, type text not null, createdAt text not null,
  updatedAt text not null, uploadedAt text, checksum text not null, isFavorite int not null,
  ownerId text not null references user on delete cascade, visibility text not null, isEdited int not null,
  deletedAt text, thumbHash text, localDateTime text, durationMs int, width int, height int, stackId text,
  livePhotoVideoId text, libraryId text) strict, without rowid;
create unique index own_checksum on remote_asset (ownerId, checksum) where libraryId is null;
create unique index library_checksum on remote_asset (ownerId, libraryId, checksum) where libraryId is not null;
create table stack (id text primary key, createdAt text not null, updatedAt text not null,
  ownerId text not null references user on delete cascade, primaryAssetId text not null) strict, without rowid;
create table remote_album (id text primary key, name text not null, description text not null,
  createdAt text not null, updatedAt text not null, thumbnailAssetId text references remote_asset on delete set null,
  isActivityEnabled int not null, "order" text not null) strict, without rowid;
create table remote_album_user (albumId text not null references remote_album on delete cascade,
  userId text not null references user on delete cascade, role text not null,
  primary key (albumId, userId)) strict, without rowid;
create table remote_album_asset (assetId text not null references remote_asset on delete cascade,
  albumId text not null references remote_album on delete cascade,
  primary key (assetId, albumId)) strict, without rowid;
create table remote_exif (assetId text primary key references remote_asset on delete cascade, description text,
  exifImageWidth int, exifImageHeight int, fileSizeInByte int, iso int, rating int, orientation text,
  dateTimeOriginal text, modifyDate text, latitude real, longitude real, fNumber real, focalLength real, fps real,
  timeZone text, projectionType text, city text, state text, country text, make text, model text, lensModel text,
  exposureTime text, profileDescription text) strict, without rowid;
create table remote_asset_cloud_id (assetId text primary key references remote_asset on delete cascade, cloudId text,
  createdAt text, adjustmentTime text, latitude text, longitude text) strict, without rowid;
create table memory (id text primary key, createdAt text not null, updatedAt text not null, deletedAt text,
  ownerId text not null references user on delete cascade, type text not null, data text not null,
  isSaved int not null, memoryAt text not null, seenAt text, showAt text, hideAt text) strict, without rowid;
create table memory_asset (assetId text not null references remote_asset on delete cascade,
  memoryId text not null references memory on delete cascade,
  primary key (assetId, memoryId)) strict, without rowid;
`

/** In an order in which none refers to a later one. */
export const REMOTE_TABLES = [
  ...[
    'memory_asset',
    'memory',
    'remote_asset_cloud_id',
    'remote_exif',
    'remote_album_asset',
    'remote_album_user',
  ],
  ...['remote_album', 'stack', 'remote_asset', 'partner', 'user_metadata', 'auth_user', 'user'],
]
