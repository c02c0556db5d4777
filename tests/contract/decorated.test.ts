import { silentLog } from '../../src/log.ts'
import { createBreaker } from '../../src/storage/breaker.ts'
import { openMemoryBackend } from '../../src/storage/memory.ts'
import { withBreaker } from '../../src/storage/with-breaker.ts'
import { withLimits } from '../../src/storage/with-limits.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { storageSuite } from './storage-suite.ts'

const retry = { attempts: 3, delayMs: 1, log: silentLog }
const limits = { reads: 2, writes: 2, others: 2 }

storageSuite('memory with retry', async () => ({ backend: withRetry(openMemoryBackend(), retry) }))

storageSuite('memory with limits', async () => ({ backend: withLimits(openMemoryBackend(), limits) }))

storageSuite('memory with limits, then retry', async () => ({
  backend: withRetry(withLimits(openMemoryBackend(), limits), retry),
}))

storageSuite('memory with a breaker', async () => ({
  backend: withBreaker(openMemoryBackend(), createBreaker('memory')),
}))

storageSuite('memory with breaker, limits, retry', async () => ({
  backend: withRetry(withLimits(withBreaker(openMemoryBackend(), createBreaker('memory')), limits), retry),
}))
