/** The account page in a real browser: where one is logged in, and what a change of the password ends. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser } from 'playwright-core'
import { ADMIN, connectClient } from '../../support/client.ts'
import { launchBrowser, needsBrowser, openPage } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { startTestServer } from '../../support/server.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const { skip } = await needsBrowser()

describe('the account page', { skip, timeout: 300_000 }, () => {
  let browser: Browser
  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    browser = await launchBrowser()
  })
  after(() => browser?.close())

  test('B14: it shows where one is logged in, ends that, and asks at a change of the password', async (t) => {
    const server = await startTestServer(t)
    // Somebody logged in a while ago, and a program with a key.
    await server.pool.query(
      "update session set device_type = 'Old phone', updated_at = now() - interval '3 days'",
    )
    const watched = await openPage(browser, server.url)
    t.after(() => watched.page.context().close())
    const { page } = watched
    await page.goto('/auth/login')
    await page.getByLabel('E-mail').fill(ADMIN.email)
    await page.getByLabel('Password').fill(ADMIN.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/photos')

    await page.goto('/settings')
    const row = page.getByRole('row').filter({ hasText: 'Old phone' })
    await row.getByText('3 days ago').waitFor()
    await page.getByRole('row').filter({ hasText: 'this one' }).getByText('now').waitFor()
    await checkAccess(page, 'account page')
    await page.setViewportSize({ width: 390, height: 844 })
    await checkWidth(page, 'account page on a phone')
    await page.setViewportSize({ width: 1280, height: 900 })

    await row.getByRole('button', { name: 'Log out Old phone' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Log out' }).click()
    await row.waitFor({ state: 'detached' })
    assert.equal((await server.admin.call('/users/me')).status, 401)

    const other = await connectClient(server.url)
    await page.reload()
    await page.getByLabel('What the key is for').fill('frame')
    await page.getByRole('button', { name: 'Create API key' }).click()
    await page.getByRole('button', { name: 'Done' }).click()
    await page.getByLabel('Current password').fill(ADMIN.password)
    await page.getByLabel('New password').fill('another long password')
    const everywhere = page.getByLabel('Log out everywhere else')
    assert.ok(await everywhere.isChecked(), 'the safe choice is made already')
    const keys = page.getByLabel('Delete the API key, too')
    assert.ok(!(await keys.isChecked()))
    await keys.check()
    await page.getByRole('button', { name: 'Change the password' }).click()
    await page.getByText('you are logged out everywhere else').waitFor()
    assert.equal((await other.call('/users/me')).status, 401)
    const { rows } = await server.pool.query(
      'select (select count(*)::int from session) as sessions, (select count(*)::int from api_key) as keys',
    )
    assert.deepEqual(rows, [{ sessions: 1, keys: 0 }])
    await page.reload()
    await page.getByRole('heading', { name: ADMIN.name }).waitFor()
  })
})
