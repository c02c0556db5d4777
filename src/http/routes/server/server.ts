import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { AppError } from '../../../errors.ts'
import { PATH_OPTIONS } from '../../../library/path-templates/presets.ts'
import { isAdminOnboarded, setAdminOnboarded } from '../../../library/server/admin-onboarding.ts'
import { diskSpace } from '../../../library/server/disk-space.ts'
import {
  API_VERSION,
  apkLinks,
  serverAbout,
  serverConfig,
  serverFeatures,
  versionHistory,
} from '../../../library/server/server-info.ts'
import { serverStatistics } from '../../../library/server/server-statistics.ts'
import { supportedExtensions } from '../../../media/formats.ts'
import { parse } from '../../validate.ts'

const onboardingBody = z.object({ isOnboarded: z.boolean() })

type Parts = { db: Database; placement: { mediaLocation: string } }

/** `/api/server`: what clients ask before and after a login. */
export function registerServerRoutes(app: FastifyInstance, { db, placement }: Parts): void {
  const open = { config: { access: { who: 'public' as const } } }
  const may = (who: 'user' | 'admin', permission: string) => ({ config: { access: { who, permission } } })

  // Answers while the database is away: it says that the process lives, not that all is well.
  app.get('/api/server/ping', open, async () => ({ res: 'pong' }))
  app.get('/api/server/version', open, async () => API_VERSION)
  app.get('/api/server/version-history', open, () => versionHistory(db))
  app.get('/api/server/features', open, async () => serverFeatures())
  app.get('/api/server/config', open, () => serverConfig(db))
  app.get('/api/server/media-types', open, async () => supportedExtensions())
  app.get('/api/system-metadata/admin-onboarding', may('admin', 'systemMetadata.read'), async () => ({
    isOnboarded: await isAdminOnboarded(db),
  }))
  app.post(
    '/api/system-metadata/admin-onboarding',
    may('admin', 'systemMetadata.update'),
    async (request, reply) => {
      await setAdminOnboarded(db, parse(onboardingBody, request.body).isOnboarded)
      return reply.status(204).send()
    },
  )
  app.get(
    '/api/system-config/storage-template-options',
    may('admin', 'systemConfig.read'),
    async () => PATH_OPTIONS,
  )
  app.get('/api/server/about', may('user', 'server.about'), async () => serverAbout())
  app.get('/api/server/storage', may('user', 'server.storage'), () => diskSpace(placement.mediaLocation))
  app.get('/api/server/apk-links', may('user', 'server.apkLinks'), async () => apkLinks())
  app.get('/api/server/statistics', may('admin', 'server.statistics'), () => serverStatistics(db))
  // Nothing is looked up on the internet, so there is no newer release to know of.
  app.get('/api/server/version-check', may('user', 'server.versionCheck'), async () => ({
    checkedAt: null,
    releaseVersion: null,
  }))
  app.get('/api/server/license', may('admin', 'serverLicense.read'), () => {
    throw new AppError('not-found', 'License not found')
  })
}
