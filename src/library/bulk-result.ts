/** Immich's `BulkIdResponseDto`: what became of one id of a bulk request. */
export type BulkResult = {
  id: string
  success: boolean
  error?: 'duplicate' | 'no_permission' | 'not_found'
}

/**
 * The answers to an addition, one for each id, in the order given. `fresh`: what was added; it is used up, so
 * that an id which is given twice is a duplicate the second time.
 */
export function resultsOfAddition(
  ids: readonly string[],
  allowed: ReadonlySet<string>,
  fresh: Set<string>,
): BulkResult[] {
  return ids.map((id) => {
    if (!allowed.has(id)) return { id, success: false, error: 'no_permission' }
    return fresh.delete(id) ? { id, success: true } : { id, success: false, error: 'duplicate' }
  })
}

/** As `resultsOfAddition`, for what was taken out. */
export function resultsOfRemoval(ids: readonly string[], removed: Set<string>): BulkResult[] {
  return ids.map((id) =>
    removed.delete(id) ? { id, success: true } : { id, success: false, error: 'not_found' },
  )
}
