import type { FastifyInstance } from 'fastify'
import type { HttpParts } from './parts.ts'
import { registerActivityRoutes } from './routes/albums/activities.ts'
import { registerAlbumContentRoutes } from './routes/albums/album-contents.ts'
import { registerAlbumRoutes } from './routes/albums/albums.ts'
import { registerAssetMediaRoutes } from './routes/assets/asset-media.ts'
import { registerAssetMetadataRoutes } from './routes/assets/asset-metadata.ts'
import { registerAssetRoutes } from './routes/assets/assets.ts'
import { registerDownloadRoutes } from './routes/assets/download.ts'
import { registerMapRoutes } from './routes/assets/map.ts'
import { registerMemoryRoutes } from './routes/assets/memories.ts'
import { registerSearchRoutes } from './routes/assets/search.ts'
import { registerStackRoutes } from './routes/assets/stacks.ts'
import { registerTagRoutes } from './routes/assets/tags.ts'
import { registerTimelineRoutes } from './routes/assets/timeline.ts'
import { registerTrashRoutes } from './routes/assets/trash.ts'
import { registerUploadRoutes } from './routes/assets/upload.ts'
import { registerEmptyReadRoutes } from './routes/server/empty-reads.ts'
import { registerJobRoutes } from './routes/server/jobs.ts'
import { registerNotificationRoutes } from './routes/server/notifications.ts'
import { registerServerRoutes } from './routes/server/server.ts'
import { registerAdoptionRoutes } from './routes/storage/adoption.ts'
import { registerArchiveRoutes } from './routes/storage/archive.ts'
import { registerCampaignRoutes } from './routes/storage/campaigns.ts'
import { registerCollectionRoutes } from './routes/storage/collections.ts'
import { registerDirectUploadRoutes } from './routes/storage/direct-uploads.ts'
import { registerDrainRoutes } from './routes/storage/drains.ts'
import { registerStorageRoutes } from './routes/storage/storage.ts'
import { registerAdminUserRoutes } from './routes/users/admin-users.ts'
import { registerApiKeyRoutes } from './routes/users/api-keys.ts'
import { registerAuthRoutes } from './routes/users/auth.ts'
import { registerPartnerRoutes } from './routes/users/partners.ts'
import { registerProfileImageRoutes } from './routes/users/profile-image.ts'
import { registerSessionRoutes } from './routes/users/sessions.ts'
import { registerSyncRoutes } from './routes/users/sync.ts'
import { registerUserDeletionRoutes } from './routes/users/user-deletion.ts'
import { registerUserRoutes } from './routes/users/users.ts'

/**
 * Every route under /api, one file for each resource. An endpoint needs its route here, one function of the
 * domain, and one test.
 */
export function registerRoutes(app: FastifyInstance, parts: HttpParts): void {
  registerAssetRoutes(app, parts)
  registerAssetMediaRoutes(app, parts)
  registerUploadRoutes(app, parts)
  registerDirectUploadRoutes(app, parts)
  registerTrashRoutes(app, parts)
  registerDownloadRoutes(app, parts)
  registerProfileImageRoutes(app, parts)
  registerStorageRoutes(app, parts)
  registerAdoptionRoutes(app, parts)
  registerCollectionRoutes(app, parts)
  registerDrainRoutes(app, parts)
  registerCampaignRoutes(app, parts)
  registerArchiveRoutes(app, parts)
  registerJobRoutes(app, parts)
  registerAuthRoutes(app, parts)
  registerUserRoutes(app, parts)
  registerAdminUserRoutes(app, parts)
  registerUserDeletionRoutes(app, parts)
  registerPartnerRoutes(app, parts)
  registerActivityRoutes(app, parts)
  registerAssetMetadataRoutes(app, parts)
  registerMemoryRoutes(app, parts)
  registerStackRoutes(app, parts)
  registerTagRoutes(app, parts)
  registerApiKeyRoutes(app, parts)
  registerSessionRoutes(app, parts)
  registerSyncRoutes(app, parts)
  registerServerRoutes(app, parts)
  registerNotificationRoutes(app, parts)
  registerTimelineRoutes(app, parts)
  registerMapRoutes(app, parts)
  registerSearchRoutes(app, parts)
  registerAlbumRoutes(app, parts)
  registerAlbumContentRoutes(app, parts)
  registerEmptyReadRoutes(app, parts)
}
