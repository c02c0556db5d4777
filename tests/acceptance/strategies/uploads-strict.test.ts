/** Every way in and every mode of placement against the strict S3 server. */
import { after } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { needsBrowser } from '../../support/page/browser.ts'
import { testWay } from '../../support/ways-suite.ts'

const CREDENTIALS = { accessKeyId: 'ways', secretAccessKey: 'ways-secret' }
const { skip } = await needsBrowser()
let strict: StrictS3 | undefined
after(() => strict?.close())

async function openService() {
  strict ??= await startStrictS3({ store: { kind: 'memory' }, credentials: CREDENTIALS, buckets: [] })
  return { endpoint: strict.endpoint, ...CREDENTIALS }
}

testWay({ upload: 'local-first', mode: 'hybrid' }, openService, skip)
testWay({ upload: 's3-first', mode: 'cache' }, openService, skip)
testWay({ upload: 'direct', mode: 'full' }, openService, skip)
