import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { escapeKey } from './signature.ts'

/** The base is an address without a query; the path is escaped. */
export type KeyAddress = { base: URL; path: string }

/** Stands for a key in an address; replaced by the real one. */
const SAMPLE_KEY = 'sample'

/**
 * Where the SDK would send requests for the keys of a bucket: virtual host, path style, partitions and all.
 * Sends nothing.
 */
export function openKeyAddresses(client: S3Client, bucket: string): (fullKey: string) => Promise<KeyAddress> {
  let base: Promise<URL> | undefined
  return async (fullKey) => {
    base ??= findBase(client, bucket).catch((error: unknown) => {
      base = undefined
      throw error
    })
    const sample = await base
    return { base: sample, path: sample.pathname.slice(0, -SAMPLE_KEY.length) + escapeKey(fullKey) }
  }
}

type Found = { protocol: string; hostname: string; port?: number; path: string }

async function findBase(client: S3Client, bucket: string): Promise<URL> {
  const command = new GetObjectCommand({ Bucket: bucket, Key: SAMPLE_KEY })
  let found: Found | undefined
  // After the address was found, and before anything is signed or sent.
  const stopHere = () => async (args: { request: unknown }) => {
    found = args.request as Found
    return { output: { $metadata: {} }, response: {} }
  }
  command.middlewareStack.add(stopHere as never, { step: 'build', name: 'stopHere', priority: 'high' })
  await client.send(command)
  const { protocol, hostname, port, path } = found!
  return new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
}
