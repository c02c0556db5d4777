/** Users: one is added, chooses a password of their own at the first login, and has a picture. */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import { connectClient } from '../../support/client.ts'
import { needsBrowser, openPage } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'
import { photo } from '../../support/server-with-bucket.ts'

const { skip } = await needsBrowser()
const GIVEN = 'the given password'

describe('users', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('an administrator adds somebody, who has to choose a password before anything else', async (t) => {
    const server = await startTestServer(t)
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/users')
    await page.getByRole('button', { name: 'Add a user' }).click()
    const form = page.getByRole('dialog', { name: 'Add a user' })
    await checkAccess(page, 'form for a user')
    await form.getByLabel('Name').fill('Berta')
    await form.getByLabel('E-mail').fill('berta@example.org')
    await form.locator('input[type=password]').fill(GIVEN)
    await form.getByLabel('Space for originals, in GiB').fill('1.5')
    await form.getByRole('button', { name: 'Add' }).click()
    const row = page.getByRole('row').filter({ hasText: 'berta@example.org' })
    await row.getByText('1.50 GiB').waitFor()
    await row.getByText('has not chosen a password yet').waitFor()
    await checkAccess(page, 'users')
    assert.deepEqual(takeProblems(), [])

    const other = await openPage(suite.browser(), server.url, { viewport: { width: 390, height: 844 } })
    t.after(() => other.page.context().close())
    await other.page.goto('/auth/login')
    await other.page.getByLabel('E-mail').fill('berta@example.org')
    await other.page.getByLabel('Password', { exact: true }).fill(GIVEN)
    await other.page.keyboard.press('Enter')
    await other.page.waitForURL('**/auth/change-password')
    await checkAccess(other.page, 'choice of a password')
    await checkWidth(other.page, 'choice of a password')
    // There is no way around it.
    await other.page.goto('/albums')
    await other.page.waitForURL('**/auth/change-password')
    await other.page.getByLabel('New password').fill('a password of my own')
    await other.page.getByRole('button', { name: 'Save and continue' }).click()
    await other.page.waitForURL('**/photos')
    await other.page.goto('/albums')
    await other.page.getByText('No albums yet').waitFor()
    const client = await connectClient(server.url, {
      email: 'berta@example.org',
      password: 'a password of my own',
    })
    const me = await client.json<{ shouldChangePassword: boolean }>('/users/me')
    assert.equal(me.shouldChangePassword, false)
    assert.deepEqual(other.takeProblems(), [])
  })

  test('a user is changed, deleted with what goes said in numbers, and comes back', async (t) => {
    const server = await startTestServer(t)
    const anna = await server.newUser('anna')
    await anna.upload(await photo(), 'photo.jpg')
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/users')
    const row = page.getByRole('row').filter({ hasText: 'anna@example.org' })
    const choose = async (what: string) => {
      await row.getByRole('button', { name: /^What to do with/ }).click()
      await page.getByRole('menuitem', { name: what }).click()
    }
    await choose('Edit')
    const form = page.getByRole('dialog', { name: 'Edit anna' })
    await checkAccess(page, 'form for a change of a user')
    await form.getByLabel('Name').fill('Anna B.')
    await form.getByLabel('Space for originals, in GiB').fill('2')
    await form.getByLabel('Is an administrator').check()
    await form.getByRole('button', { name: 'Save' }).click()
    await row.getByText('2.00 GiB').waitFor()
    await row.getByText('administrator').waitFor()

    await choose('Delete')
    const question = page.getByRole('dialog', { name: 'Delete Anna B.?' })
    await question.getByText(/^1 photo, [\d.]+ KiB of originals$/).waitFor()
    await question.getByText(/^\w+day \d+ \w+ \d{4}, \d\d:\d\d$/).waitFor()
    await checkAccess(page, 'question about a deletion')
    await question.getByRole('button', { name: 'Delete' }).click()
    await row.getByText(/deleted; can be restored until/).waitFor()
    assert.equal((await anna.call('/users/me')).status, 401)
    await checkAccess(page, 'users, one of them deleted')
    await checkWidth(page, 'users, one of them deleted')
    await row.getByRole('button', { name: 'Restore' }).click()
    await row.getByRole('button', { name: /^What to do with/ }).waitFor()
    const own = page.getByRole('row').filter({ hasText: ', you' })
    await own.getByRole('button', { name: /^What to do with/ }).click()
    assert.equal(await page.getByRole('menuitem').count(), 1, 'nobody deletes themself')
    assert.deepEqual(takeProblems(), [])
  })

  test('a picture is chosen, seen, and removed', async (t) => {
    const server = await startTestServer(t)
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/settings')
    const path = join(tmpdir(), `glassine-portrait-${process.pid}.png`)
    await sharp({ create: { width: 600, height: 300, channels: 3, background: '#3366aa' } })
      .png()
      .toFile(path)
    await page.getByTestId('pick-portrait').setInputFiles(path)
    await page.getByText('This is your picture now').waitFor()
    await page.locator('main .avatar img').waitFor()
    const answer = await server.admin.call(
      `/users/${(await server.admin.json<{ id: string }>('/users/me')).id}/profile-image`,
    )
    const { width, height } = await sharp(Buffer.from(await answer.arrayBuffer())).metadata()
    assert.equal(width, height, 'square')
    await page.getByRole('button', { name: 'Remove the picture' }).click()
    await page.locator('main .avatar img').waitFor({ state: 'detached' })
    assert.deepEqual(takeProblems(), [])
  })

  test('what is typed as a password can be shown', async (t) => {
    const server = await startTestServer(t)
    const { page } = await openPage(suite.browser(), server.url)
    t.after(() => page.context().close())
    await page.goto('/auth/login')
    const field = page.getByLabel('Password', { exact: true })
    await field.fill('secret words')
    assert.equal(await field.getAttribute('type'), 'password')
    await page.getByRole('button', { name: 'Show what is typed' }).click()
    assert.equal(await field.getAttribute('type'), 'text')
    assert.equal(await field.inputValue(), 'secret words')
  })
})
