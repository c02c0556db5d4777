/** Redirects and ranges against a real S3 service. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { get } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { PROXY_EVERYTHING } from '../../../src/placement/delivery-rules.ts'
import { probeLocation } from '../../../src/placement/locations/locations.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer } from '../../support/server.ts'
import { type Ceph, needsCeph, startCeph } from '../../support/services/ceph.ts'

describe('ways out of Ceph', await needsCeph(), () => {
  let ceph: Ceph
  before(async () => {
    ceph = await startCeph()
  })
  after(() => ceph.stop())

  test('a redirected GET works there, whole and by range, with the type and the name that were signed', async (t) => {
    const settings = s3TestSettings({ ...ceph, bucket: await ceph.createBucket() })
    const location = {
      ...locationOfBackend('s3', 's3', openS3Backend(settings, silentLog)),
      probe: () => probeS3(settings, silentLog),
    }
    const server = await startTestServer(t, {
      remotes: [],
      extra: [location],
      delivery: { ...PROXY_EVERYTHING, modes: { original: 'redirect' } },
    })
    await probeLocation(server.placement, 's3')
    const files = {
      'Grüße aus Köln (1).jpg': Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), randomBytes(200_000)]),
      'evil.svg': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    }
    const ids: Record<string, string> = {}
    for (const [name, bytes] of Object.entries(files)) ids[name] = (await server.admin.upload(bytes, name)).id
    await eventually(async () => {
      await server.runJobs()
      const { rows } = await server.pool.query(
        `select from replica r join asset a on a.original_object_id = r.object_id where r.location_id <> 's3'`,
      )
      assert.equal(rows.length, 0)
    }, 60_000)

    const redirected = (name: string) =>
      new Promise<string>((resolve, reject) => {
        const headers = {
          cookie: `immich_access_token=${server.admin.token}`,
          'sec-fetch-dest': 'image',
          'sec-fetch-mode': 'no-cors',
        }
        get(`${server.url}/api/assets/${ids[name]}/original`, { headers }, (answer) => {
          answer.resume()
          assert.equal(answer.statusCode, 302)
          resolve(answer.headers.location!)
        }).on('error', reject)
      })

    const [name, bytes] = Object.entries(files)[0]!
    const url = await redirected(name)
    assert.equal(await redirected(name), url)
    const whole = await fetch(url)
    assert.equal(whole.status, 200)
    assert.equal(whole.headers.get('content-type'), 'image/jpeg')
    assert.equal(
      whole.headers.get('content-disposition'),
      "inline; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln%20%281%29.jpg",
    )
    assert.equal(whole.headers.get('cache-control'), 'private, max-age=86400, immutable')
    assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes)
    for (const [range, from, to] of [
      ['bytes=1000-1999', 1000, 2000],
      ['bytes=-500', bytes.length - 500, bytes.length],
      ['bytes=200000-', 200_000, bytes.length],
    ] as const) {
      const part = await fetch(url, { headers: { range } })
      assert.equal(part.status, 206)
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(from, to))
      // The same through us, the second time begun early.
      for (let seek = 0; seek < 2; seek += 1) {
        const proxied = await server.admin.call(`/assets/${ids[name]}/original`, { headers: { range } })
        assert.equal(proxied.status, 206)
        assert.deepEqual(Buffer.from(await proxied.arrayBuffer()), bytes.subarray(from, to))
      }
    }
    const changed = await fetch(url.replace('image%2Fjpeg', 'text%2Fhtml'))
    assert.equal(changed.status, 403)
    await changed.arrayBuffer()

    const evil = await fetch(await redirected('evil.svg'))
    assert.equal(evil.headers.get('content-type'), 'application/octet-stream')
    assert.match(evil.headers.get('content-disposition')!, /^attachment/)
    await evil.arrayBuffer()
  })
})
