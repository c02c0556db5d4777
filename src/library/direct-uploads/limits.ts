/** What direct uploads are held to, whatever the configuration says. */
export const DIRECT_LIMITS = {
  /** Files up to this size go in one put. */
  singlePutBytes: 32 * 1024 * 1024,
  /** Open at a time, of one user. */
  openUploads: 1_000,
  partsPerRequest: 100,
  /** From the asking to the confirmation. */
  singleLifetimeMs: 24 * 3_600_000,
  partsLifetimeMs: 7 * 24 * 3_600_000,
} as const
