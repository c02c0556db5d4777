/** A bucket on a real S3 server: Ceph RGW with one OSD (bluestore) on this machine. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { CreateBucketCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { freePorts } from '../tests/support/free-port.ts'
import { temporaryFolder } from './server-under-test.ts'

const SCRIPTS = new URL('../tests/support/services/ceph/', import.meta.url).pathname
const run = promisify(execFile)

export type Bucket = {
  endpoint: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** `storage.s3` of a glassine.yaml. */
  settings: object
  presignedGet(key: string): Promise<string>
}

/**
 * Starts Ceph, which ends when `stack` is disposed of. Installs Debian's packages where they are missing and
 * it may. `disk`: the size of its disk, a sparse file.
 */
export async function startBucket(
  stack: AsyncDisposableStack,
  { disk = '20G' }: { disk?: string } = {},
): Promise<Bucket> {
  const folder = join(await temporaryFolder(stack), 'ceph')
  const accessKeyId = 'bench'
  const secretAccessKey = randomBytes(16).toString('hex')
  const port = await freePorts(2)
  const env = {
    ...process.env,
    RGW_DIR: folder,
    RGW_PORT: String(port),
    RGW_MON_PORT: String(port + 1),
    RGW_OSD_SIZE: disk,
    RGW_ACCESS_KEY: accessKeyId,
    RGW_SECRET_KEY: secretAccessKey,
  }
  stack.defer(async () => {
    await run('bash', [join(SCRIPTS, 'stop-rgw.sh'), '--wipe'], { env })
  })
  await run('bash', [join(SCRIPTS, 'start-rgw.sh')], { env, maxBuffer: 2 ** 26 })
  const endpoint = `http://127.0.0.1:${port}`
  const bucket = 'bench'
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  stack.defer(() => client.destroy())
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  return {
    endpoint,
    bucket,
    accessKeyId,
    secretAccessKey,
    settings: { endpoint, bucket, region: 'us-east-1', accessKeyId, secretAccessKey, forcePathStyle: true },
    presignedGet: (key) =>
      getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: 3_600 }),
  }
}
