import { after, before, describe } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { bucketsSuite } from './buckets-suite.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }

describe('campaigns with a strict S3 server', () => {
  let server: StrictS3
  before(async () => {
    server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['first', 'second'] })
  })
  after(() => server.close())

  bucketsSuite(async (bucket) => s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket }))
})
