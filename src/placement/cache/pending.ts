import type { Cache } from './cache.ts'

/**
 * Lets `closeCache` wait for work that nobody else may wait for, such as what a reader who left had begun.
 */
export function keepPending({ pending }: Pick<Cache, 'pending'>, work: Promise<void>): Promise<void> {
  const kept: Promise<void> = work.finally(() => pending.delete(kept))
  pending.add(kept)
  return kept
}
