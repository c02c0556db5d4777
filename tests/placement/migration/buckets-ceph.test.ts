import { after, before, describe } from 'node:test'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { bucketsSuite } from './buckets-suite.ts'

describe('campaigns with Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())

  bucketsSuite(async () => s3TestSettings({ ...ceph, bucket: await ceph.createBucket() }))
})
