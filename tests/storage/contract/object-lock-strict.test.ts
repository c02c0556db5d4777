import { after, describe } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { objectLockSuite } from './object-lock-suite.ts'

const credentials = { accessKeyId: 'locks', secretAccessKey: 'locks-secret' }

describe('the strict server', () => {
  let server: StrictS3
  after(() => server.close())
  objectLockSuite('Object Lock on the strict server', async () => {
    const store = { kind: 'memory' } as const
    server = await startStrictS3({ store, credentials, buckets: ['photos'], objectLock: true })
    return { endpoint: server.endpoint, ...credentials, bucket: 'photos' }
  })
})
