import { silentLog } from '../../../src/log.ts'
import { createBreaker } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { withLimits } from '../../../src/storage/guards/with-limits.ts'
import { withRetry } from '../../../src/storage/guards/with-retry.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { storageSuite } from './storage-suite.ts'

const retry = { attempts: 3, delayMs: 1, log: silentLog }
const limits = { reads: 2, writes: 2, others: 2 }
/** Memory knows neither parts nor pages. */
const SMALL = { partBytes: 512 * 1024, pageKeys: 100 }

storageSuite('memory with retry', async () => ({ backend: withRetry(openMemoryBackend(), retry) }), SMALL)

storageSuite('memory with limits', async () => ({ backend: withLimits(openMemoryBackend(), limits) }), SMALL)

storageSuite(
  'memory with limits, then retry',
  async () => ({
    backend: withRetry(withLimits(openMemoryBackend(), limits), retry),
  }),
  SMALL,
)

storageSuite(
  'memory with a breaker',
  async () => ({
    backend: withBreaker(openMemoryBackend(), createBreaker('memory')),
  }),
  SMALL,
)

storageSuite(
  'memory with breaker, limits, retry',
  async () => ({
    backend: withRetry(withLimits(withBreaker(openMemoryBackend(), createBreaker('memory')), limits), retry),
  }),
  SMALL,
)
