/** Both strategies on Ceph's object gateway. */
import { after, before, describe } from 'node:test'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { uploadSuite } from './upload-suite.ts'

describe('uploads with Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())

  for (const strategy of ['local-first', 's3-first'] as const) {
    uploadSuite(strategy, async () =>
      s3TestSettings({ ...ceph, bucket: await ceph.createBucket() }, { prefix: '' }),
    )
  }
})
