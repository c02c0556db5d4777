import type { FastifyInstance } from 'fastify'
import { registerAdminUserRoutes } from './routes/admin-users.ts'
import { registerAlbumContentRoutes } from './routes/album-contents.ts'
import { registerAlbumRoutes } from './routes/albums.ts'
import { registerApiKeyRoutes } from './routes/api-keys.ts'
import { registerArchiveRoutes } from './routes/archive.ts'
import { registerAssetMediaRoutes } from './routes/asset-media.ts'
import { registerAssetRoutes } from './routes/assets.ts'
import { registerAuthRoutes } from './routes/auth.ts'
import { registerDirectUploadRoutes } from './routes/direct-uploads.ts'
import { registerDownloadRoutes } from './routes/download.ts'
import { registerEmptyReadRoutes } from './routes/empty-reads.ts'
import { registerJobRoutes } from './routes/jobs.ts'
import { registerProfileImageRoutes } from './routes/profile-image.ts'
import { registerSearchRoutes } from './routes/search.ts'
import { registerServerRoutes } from './routes/server.ts'
import { registerSessionRoutes } from './routes/sessions.ts'
import { registerStorageRoutes } from './routes/storage.ts'
import { registerTimelineRoutes } from './routes/timeline.ts'
import { registerTrashRoutes } from './routes/trash.ts'
import { registerUploadRoutes } from './routes/upload.ts'
import { registerUserRoutes } from './routes/users.ts'
import type { HttpParts } from './server.ts'

/** Every route under /api, one file per resource. An endpoint costs its route here, one domain function, one test. */
export function registerRoutes(app: FastifyInstance, parts: HttpParts): void {
  registerAssetRoutes(app, parts)
  registerAssetMediaRoutes(app, parts)
  registerUploadRoutes(app, parts)
  registerDirectUploadRoutes(app, parts)
  registerTrashRoutes(app, parts)
  registerDownloadRoutes(app, parts)
  registerProfileImageRoutes(app, parts)
  registerStorageRoutes(app, parts)
  registerArchiveRoutes(app, parts)
  registerJobRoutes(app, parts)
  registerAuthRoutes(app, parts)
  registerUserRoutes(app, parts)
  registerAdminUserRoutes(app, parts)
  registerApiKeyRoutes(app, parts)
  registerSessionRoutes(app, parts)
  registerServerRoutes(app, parts)
  registerTimelineRoutes(app, parts)
  registerSearchRoutes(app, parts)
  registerAlbumRoutes(app, parts)
  registerAlbumContentRoutes(app, parts)
  registerEmptyReadRoutes(app, parts)
}
