/**
 * The probe as an administrator meets it: a bucket that is closed to browsers and is opened with what the
 * page says to paste; a provider that changes its behaviour while everything runs; the command line beside
 * it. Imports nothing from
 * `src/` but the strict S3 server, which plays the provider.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { PutBucketCorsCommand, S3Client } from '@aws-sdk/client-s3'
import type { Browser } from 'playwright-core'
import { ADMIN } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { needsBrowser, openPage, type WatchedPage } from '../support/page/browser.ts'
import { checkAccess, checkWidth } from '../support/page/page-checks.ts'
import { closePages, sharedBrowser } from '../support/page/shared-browser.ts'
import { installationOf, runCli } from '../support/run-cli.ts'
import {
  BUCKET,
  drained,
  photo,
  probed,
  probeNow,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
const { skip } = await needsBrowser()

describe('the probe on the storage page', { skip, timeout: 300_000 }, () => {
  let rig: ServerWithBucket
  let browser: Browser
  let watched: WatchedPage

  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    rig = await startServerWithBucket()
    await probed(rig.client)
    browser = await sharedBrowser()
    watched = await openPage(browser, rig.server.url)
    const { page } = watched
    await page.goto('/auth/login')
    await page.getByLabel('E-mail').fill(ADMIN.email)
    await page.getByLabel('Password').fill(ADMIN.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/photos')
    await page.goto('/storage')
    await page.getByRole('button', { name: 'Details', exact: true }).click()
  })
  after(async () => {
    await closePages()
    await rig?.close()
  })

  const probe = async () => {
    await watched.page.getByRole('button', { name: 'Check now' }).click()
    await watched.page
      .getByRole('button', { name: 'Check now' })
      .and(watched.page.locator(':enabled'))
      .waitFor()
  }

  /** For eyes: GLASSINE_PROBE_PICTURES names a folder. */
  async function picture(name: string): Promise<void> {
    const folder = process.env.GLASSINE_PROBE_PICTURES
    if (folder === undefined) return
    const { page } = watched
    await page.setViewportSize({ width: 1280, height: 3000 })
    await page.screenshot({ path: join(folder, `${name}.png`) })
    await page.setViewportSize({ width: 1280, height: 800 })
  }

  test('a bucket that is closed to browsers says so, and its rule opens it', async () => {
    const { page } = watched
    await probe()
    await page.getByText('answers, but not to pages of this address (CORS)').waitFor()
    await page.getByText('add the CORS rule below to the bucket').waitFor()
    // The browser writes a refusal of that kind to the console, and gives no reason to the page.
    const [refusal, ...others] = watched.takeProblems()
    assert.match(refusal ?? '', /CORS/)
    assert.ok(
      others.every((problem) => /CORS|ERR_FAILED|answered 404/.test(problem)),
      others.join('\n'),
    )
    await page.getByText('CORS rule: cors.json').first().click()
    await picture('blocked')
    await checkAccess(page, 'a blocked bucket')
    await checkWidth(page, 'a blocked bucket')

    const rule = JSON.parse(await page.locator('pre', { hasText: 'CORSRules' }).first().innerText()) as {
      CORSRules: []
    }
    const client = new S3Client({
      endpoint: rig.bucket.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'faults', secretAccessKey: 'faults-secret' },
    })
    await client.send(new PutBucketCorsCommand({ Bucket: BUCKET, CORSConfiguration: rule }))
    client.destroy()
    await probe()
    await page.getByText('reaches it by itself').waitFor()
    assert.deepEqual(watched.takeProblems(), [])
    const held = (await rig.bucket.stored.objects(BUCKET)).map(({ key }) => key)
    assert.ok(!held.some((key) => key.includes('.glassine-probe/')), held.join(' '))
  })

  test('a provider that got weaker: told on the page, in the log and on the command line; proofs fall back to reading', async () => {
    const { page } = watched
    const first = await rig.client.upload(await photo(), 'before.jpg')
    await drained(rig.client, 30_000)
    Object.assign(rig.bucket.profile, { opaqueEtags: true, ignoreChecksums: true })
    await probe()
    await page.getByText('The provider changed its behaviour.').waitFor()
    await page.getByText('the ETag of a put is its MD5: was yes').waitFor()
    await eventually(() => assert.match(rig.server.output(), /the provider changed its behaviour/), 10_000)
    await picture('changed')

    const second = await rig.client.upload(await photo(), 'after.jpg')
    await drained(rig.client, 30_000)
    const levelOf = async (id: string) => (await receiptOf(rig.client, id)).replicas[0]?.proofLevel
    assert.equal(await levelOf(first.id), 3, 'what was proven stays proven')
    assert.equal(await levelOf(second.id), 4, 'every byte was read back')

    const status = await glassine('storage', 'status')
    assert.equal(status.code, 3)
    assert.match(
      status.stdout,
      /s3: the provider changed its behaviour: the ETag of a put is its MD5: was yes, is no/,
    )

    await page.getByRole('button', { name: 'I have seen it' }).click()
    await page.getByText('The provider changed its behaviour.').waitFor({ state: 'detached' })
    assert.equal((await glassine('storage', 'status')).code, 0)
  })

  test('the command line finds that it is stronger again, and the running server works by it at once', async () => {
    Object.assign(rig.bucket.profile, { opaqueEtags: false, ignoreChecksums: false })
    const { stdout, code } = await glassine('storage', 'probe', '--origin', 'https://photos.example.org/any')
    assert.equal(code, 0, stdout)
    assert.match(
      stdout,
      /^ {2}the provider changed its behaviour: the ETag of a put is its MD5: was no, is yes$/m,
    )
    assert.match(stdout, /^ {2}□ {2}browsers at https:\/\/photos\.example\.org$/m)
    const third = await rig.client.upload(await photo(), 'again.jpg')
    await drained(rig.client, 30_000)
    assert.equal((await receiptOf(rig.client, third.id)).replicas[0]?.proofLevel, 3)

    await probeNow(rig.client)
    const { stdout: json } = await glassine('storage', 'status', '--json')
    const { locations } = JSON.parse(json) as { locations: { id: string; changes: unknown[] }[] }
    assert.deepEqual(locations.find(({ id }) => id === 's3')?.changes, [], 'a clean probe settles it')
  })

  test('only administrators probe, and only with a result that makes sense', async () => {
    const put = (path: string, body: object) =>
      rig.client.call(path, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const unknown = '/storage/browser-probes/00000000-0000-4000-8000-000000000000'
    assert.equal((await put(unknown, { why: null, canUpload: false, detail: '' })).status, 404)
    assert.equal((await put(unknown, { why: 'magic', canUpload: false, detail: '' })).status, 400)
    assert.equal((await put(unknown, { why: 'cors', canUpload: false, detail: 'x'.repeat(301) })).status, 400)
    for (const path of ['/storage/browser-probes', '/storage/locations/s3/acknowledge']) {
      assert.equal((await fetch(`${rig.server.url}/api${path}`, { method: 'POST' })).status, 401)
    }
  })

  const glassine = (...args: string[]) => runCli(args, { env: installationOf(rig) })
})
