/**
 * The account page in a real browser: what one has and prefers, one's colour and keys, and where one is
 * logged in.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { ADMIN, connectClient } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { sendJson } from '../../support/http/live-photos.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

/** Gives the secret of a new key. */
async function createKey(page: Page, name: string): Promise<string> {
  await page.getByLabel('What the key is for').fill(name)
  await page.getByRole('button', { name: 'Create API key' }).click()
  const secret = await page.locator('#secret').innerText()
  await page.getByRole('button', { name: 'Done' }).click()
  return secret
}

describe('the account page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('B14: it shows where one is logged in, ends that, and asks at a change of the password', async (t) => {
    const server = await startTestServer(t)
    // Somebody logged in a while ago, and a program with a key.
    await server.pool.query(
      "update session set device_type = 'Old phone', updated_at = now() - interval '3 days'",
    )
    const { page } = await suite.open(t, server.url)
    await page.goto('/settings')
    const row = page.getByRole('row').filter({ hasText: 'Old phone' })
    await row.getByText('3 days ago').waitFor()
    await page.getByRole('row').filter({ hasText: 'this one' }).getByText('now').waitFor()

    await row.getByRole('button', { name: 'Log out Old phone' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Log out' }).click()
    await row.waitFor({ state: 'detached' })
    assert.equal((await server.admin.call('/users/me')).status, 401)

    const other = await connectClient(server.url)
    await page.reload()
    await createKey(page, 'frame')
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

  test('what one has is counted; a colour, what new albums are like, and what a key may do are chosen', async (t) => {
    const server = await startTestServer(t)
    const { admin } = server
    const picture = sharp({ create: { width: 30, height: 20, channels: 3, background: '#a22' } })
    const { id } = await admin.upload(await picture.clone().jpeg().toBuffer(), 'one.jpg')
    await admin.upload(await picture.clone().png().toBuffer(), 'two.png')
    await sendJson(admin, 'PUT', '/assets', { ids: [id], isFavorite: true, visibility: 'archive' })
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/settings')
    for (const name of ['Timeline 1 0', 'Archive 1 0', 'Favourites 1 0', 'Trash 0 0'])
      await page.getByRole('row', { name, exact: true }).waitFor()

    await page.getByTitle('Green').click()
    await page.locator('.who .avatar.green').waitFor()
    await page.getByLabel('New albums begin with').selectOption('The oldest')
    await page.getByText('Saved').waitFor()
    await page.getByLabel('Largest zip of a download').fill('0.5')
    await page.getByLabel('Largest zip of a download').press('Tab')
    await eventually(async () => {
      const { download } = await admin.json<{ download: { archiveSize: number } }>('/users/me/preferences')
      assert.equal(download.archiveSize, 512 * 1024 ** 2)
    })
    const album = await sendJson(admin, 'POST', '/albums', { albumName: 'Old' })
    assert.equal(((await album.json()) as { order: string }).order, 'asc')

    await page.getByLabel('What it may do').selectOption('Look and download')
    const headers = { 'x-api-key': await createKey(page, 'frame') }
    const row = (name: string) => page.getByRole('row').filter({ hasText: name })
    await row('frame').getByText('Look and download').waitFor()
    const ask = (path: string, method: string) =>
      fetch(`${server.url}/api${path}`, { method, headers }).then(({ status }) => status)
    assert.deepEqual(
      [
        await ask(`/assets/${id}/original`, 'GET'),
        await ask('/albums', 'GET'),
        await ask('/trash/empty', 'POST'),
      ],
      [200, 200, 403],
    )
    await page.getByLabel('What it may do').selectOption('Only what I choose')
    const create = page.getByRole('button', { name: 'Create API key' })
    assert.ok(await create.isDisabled(), 'a key that may do nothing is of no use')
    await page.getByRole('group', { name: 'asset', exact: true }).getByLabel('read', { exact: true }).check()
    await checkAccess(page, 'account page')
    await createKey(page, 'counter')
    await row('counter').getByText('1 permission').click()
    await row('counter').getByText('asset.read', { exact: true }).waitFor()
    assert.deepEqual(takeProblems(), [])

    const phone = await suite.open(t, server.url, { ...PHONE, colorScheme: 'dark' })
    await phone.page.goto('/settings')
    await phone.page.getByLabel('What it may do').selectOption('Only what I choose')
    await phone.page.getByRole('row').filter({ hasText: 'counter' }).waitFor()
    await checkWidth(phone.page, 'account page on a phone')
    await checkAccess(phone.page, 'account page on a phone, dark')
    assert.deepEqual(phone.takeProblems(), [])
  })
})
