/** A strict server for one test, closed with it; in memory and in a folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { type StrictS3, type StrictS3Options, startStrictS3 } from '../src/server.ts'
import { credentials } from './signed-request.ts'

export const Bucket = 'photos'
export const kinds = ['memory', 'folder'] as const

export async function temporaryFolder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'strict-s3-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A failure inside the server fails the test. */
export async function run(
  t: TestContext,
  options: Partial<StrictS3Options> & { kind?: 'memory' | 'folder' } = {},
): Promise<StrictS3> {
  const { kind, ...rest } = options
  const failures: unknown[] = []
  const store =
    kind === 'folder'
      ? ({ kind, path: await temporaryFolder(t), sync: false } as const)
      : ({ kind: 'memory' } as const)
  const s3 = await startStrictS3({
    store,
    credentials,
    buckets: [Bucket],
    onInternalError: (error) => failures.push(error),
    ...rest,
  })
  t.after(async () => {
    await s3.close()
    if (failures.length > 0)
      throw new AggregateError(failures, `the server failed inside: ${failures.join(', ')}`)
  })
  return s3
}

export function sdk(t: TestContext, s3: StrictS3, options: S3ClientConfig = {}): S3Client {
  const client = new S3Client({
    endpoint: s3.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
    ...options,
  })
  t.after(() => client.destroy())
  return client
}

/** Waits until `check` is true, at most `withinMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const endsAt = performance.now() + withinMs
  while (!(await check())) {
    if (performance.now() > endsAt) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
