/**
 * What people see while the bucket is away: a banner that comes and goes by itself, with details for
 * administrators alone.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { ADMIN } from '../../support/client.ts'
import { needsBrowser, openPage } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import { drained, photo, probed, startServerWithBucket } from '../../support/server-with-bucket.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const { skip } = await needsBrowser()

async function logIn(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.goto('/auth/login')
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password').fill(password)
  await page.keyboard.press('Enter')
  await page.waitForURL('**/photos')
}

describe('the page during an outage', { skip, timeout: 300_000 }, () => {
  test('a drill from the storage page, seen by an administrator and by somebody else on a phone', async (t) => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    const site = await startServerWithBucket({ outage: '{ coolDownMs: 1000 }' })
    t.after(() => site.close())
    const { client } = site
    await probed(client)
    const { id } = await client.upload(await photo(320), 'photo.jpg')
    await drained(client, 60_000)
    const other = {
      email: 'other@example.org',
      password: 'a long password',
      name: 'Other',
      shouldChangePassword: false,
    }
    await client.json('/admin/users', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(other),
    })
    const browser = await sharedBrowser()
    t.after(closePages)
    const admin = await openPage(browser, site.server.url, { colorScheme: 'light' })
    const phone = await openPage(browser, site.server.url, {
      viewport: { width: 390, height: 844 },
      isMobile: true,
      hasTouch: true,
      colorScheme: 'dark',
    })
    await logIn(admin.page, ADMIN)
    await logIn(phone.page, other)
    const banner = admin.page.getByRole('status').filter({ hasText: 'Nothing is lost' })
    const plain = phone.page.getByRole('status').filter({ hasText: 'Nothing is lost' })
    assert.equal((await banner.count()) + (await plain.count()), 0)

    await admin.page.goto('/storage')
    await admin.page.getByRole('button', { name: 'Details', exact: true }).click()
    await admin.page.getByRole('button', { name: 'Simulate an outage' }).click()
    await admin.page.getByRole('button', { name: 'Start' }).click()
    await banner.waitFor()
    await plain.waitFor()
    await banner
      .getByText(/is closed by a simulated outage since .*, which ends by itself in [45] min/)
      .waitFor()
    await banner.getByText('Works: browsing, uploading. Waits: opening and downloading originals').waitFor()
    assert.doesNotMatch(await plain.innerText(), /photos at|127\.0\.0\.1|drill/)
    await checkAccess(admin.page, 'storage during a drill')
    await checkAccess(phone.page, 'photos during a drill, dark')
    await checkWidth(phone.page, 'photos during a drill')

    // On every screen, the viewer too, and nothing of it is hidden below the banner.
    await admin.page.goto(`/photos/${id}`)
    await admin.page.getByRole('dialog', { name: 'photo.jpg' }).waitFor()
    await banner.waitFor()
    const bannerBox = (await banner.boundingBox())!
    const viewerBox = (await admin.page.getByRole('dialog', { name: 'photo.jpg' }).boundingBox())!
    assert.ok(viewerBox.y >= bannerBox.y + bannerBox.height - 1)

    await admin.page.goto('/storage')
    await admin.page.getByRole('button', { name: /End the simulation/ }).click()
    await banner.waitFor({ state: 'detached' })
    await plain.waitFor({ state: 'detached' })
    assert.deepEqual([...admin.takeProblems(), ...phone.takeProblems()], [])
  })
})
