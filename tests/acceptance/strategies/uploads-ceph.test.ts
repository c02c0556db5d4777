/** Every way in and every mode of placement against a real Ceph. */
import { after } from 'node:test'
import { needsBrowser } from '../../support/page/browser.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'
import { testWay } from '../../support/ways-suite.ts'

const browser = await needsBrowser()
const skip = (await needsCeph()).skip || browser.skip
let ceph: Ceph | undefined
after(() => ceph?.stop())

async function openService() {
  ceph ??= await startCeph()
  return ceph
}

testWay({ upload: 'local-first', mode: 'full' }, openService, skip)
testWay({ upload: 's3-first', mode: 'hybrid' }, openService, skip)
testWay({ upload: 'direct', mode: 'cache' }, openService, skip)
