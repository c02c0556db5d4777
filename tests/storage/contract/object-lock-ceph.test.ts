import { after, before, describe } from 'node:test'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { objectLockSuite } from './object-lock-suite.ts'

describe('Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())
  objectLockSuite('Object Lock on Ceph', async () => ({
    ...ceph,
    bucket: await ceph.createBucket(undefined, { objectLock: true }),
  }))
})
