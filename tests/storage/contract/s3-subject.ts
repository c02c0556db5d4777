import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'

/** Settings for tests: parts of 5 MiB, so that the large bodies of the suite go in parts; short time-outs. */
export function s3TestSettings(
  address: { endpoint: string; accessKeyId: string; secretAccessKey: string; bucket: string },
  more: Partial<S3Settings> = {},
): S3Settings {
  return {
    region: 'us-east-1',
    prefix: 'deep/er/',
    forcePathStyle: null,
    provider: 'auto',
    maxConnections: 32,
    requestTimeoutMs: 10_000,
    connectTimeoutMs: 2_000,
    singlePutBytes: 6 * 1024 * 1024,
    partBytes: 5 * 1024 * 1024,
    ...address,
    ...more,
  }
}
