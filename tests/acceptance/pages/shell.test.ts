/**
 * What stays on every page: the bar, the words beside the icons, the dialogs' manners, and being told what is
 * wrong.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Response } from 'playwright-core'
import sharp from 'sharp'
import { cloneAssets } from '../../support/clone-assets.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { goToDate } from '../../support/page/sheet-page.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

async function fill(server: TestServer, size: { months: number; perMonth: number }): Promise<void> {
  const picture = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#886644' } })
    .jpeg()
    .toBuffer()
  const { id } = await server.admin.upload(picture, 'photo.jpg')
  await server.admin.json(`/assets/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ dateTimeOriginal: '2024-05-20T12:00:00+02:00' }),
  })
  await server.runJobs()
  await cloneAssets(server.pool, id, size)
}

describe('the frame of every page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('scrolled far down, one sees the month and can search, upload and reach the account', async (t) => {
    const server = await startTestServer(t)
    await fill(server, { months: 30, perMonth: 20 })
    for (const options of [{}, PHONE]) {
      const { page, takeProblems } = await suite.open(t, server.url, options)
      await page.getByRole('gridcell').nth(5).waitFor()
      const bar = page.getByRole('banner')
      await bar.getByRole('heading', { name: 'Photos' }).waitFor()
      assert.equal(await bar.getByText('April 2024').count(), 0, 'the month has its own title at the top')
      await page.mouse.move(200, 400)
      await page.getByRole('slider', { name: 'Date' }).focus()
      await page.keyboard.press('End')
      await bar.getByText(/^(November|December) 2021|January 2022$/).waitFor()
      const upload = options === PHONE ? 'Upload files or a folder' : 'Upload'
      await bar.getByRole('button', { name: upload, exact: true }).waitFor()
      await bar.getByRole('button', { name: 'Your account' }).click()
      await page.getByRole('menuitem', { name: 'About Glassine' }).click()
      await page.getByRole('dialog', { name: 'About' }).getByText('Speaks the Immich API').waitFor()
      await page.keyboard.press('Escape')
      await page.keyboard.press('/')
      const field = page.getByRole('combobox', { name: 'Search your photos' }).filter({ visible: true })
      await field.and(page.locator(':focus')).waitFor()
      assert.deepEqual(takeProblems(), [])
    }
  })

  test('the navigation has words, and leads to everything on a phone as well', async (t) => {
    const server = await startTestServer(t)
    const { page } = await suite.open(t, server.url)
    const nav = page.getByRole('navigation', { name: 'Main' })
    for (const name of ['Photos', 'Albums', 'Favourites', 'Archive', 'Trash', 'Storage', 'Users', 'Account'])
      assert.ok(await nav.getByText(name, { exact: true }).isVisible(), name)
    await nav.getByText('Shortcuts').click()
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
    const phone = await suite.open(t, server.url, PHONE)
    await phone.page.getByRole('button', { name: 'More' }).click()
    await checkAccess(phone.page, 'menu of a phone')
    await phone.page.getByRole('dialog').getByRole('link', { name: 'Trash' }).click()
    await phone.page.getByText('The trash is empty').waitFor()
    assert.equal(new URL(phone.page.url()).pathname, '/trash')
  })

  test('content begins at one edge on every page', async (t) => {
    const server = await startTestServer(t)
    const { page } = await suite.open(t, server.url, { viewport: { width: 1440, height: 900 } })
    const edges = new Set<number>()
    for (const [path, sign] of [
      ['/albums', page.getByRole('button', { name: 'New album' })],
      ['/storage', page.getByRole('heading', { name: 'No photos or videos yet.' })],
      ['/users', page.getByRole('button', { name: 'Add a user' })],
      ['/settings', page.getByRole('heading', { name: 'Appearance' })],
      ['/nowhere', page.getByRole('heading', { name: 'There is no such page' })],
    ] as const) {
      await page.goto(path)
      await sign.waitFor()
      edges.add(Math.round((await sign.boundingBox())!.x))
      await checkAccess(page, path)
      await checkWidth(page, path)
    }
    assert.equal(edges.size, 1, `content begins at ${[...edges].join(', ')} px`)
  })

  test('what one types in a dialog goes into its field, and Enter does what it is for', async (t) => {
    const server = await startTestServer(t)
    await fill(server, { months: 1, perMonth: 3 })
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/albums')
    await page.getByRole('button', { name: 'New album' }).click()
    await page.keyboard.type('Summer')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/albums/*')
    await page.getByRole('heading', { name: 'Summer' }).waitFor()
    await page.goto('/photos')
    await page.getByRole('gridcell').first().hover()
    await page.getByRole('button', { name: 'Select' }).first().click()
    await page.keyboard.press('l')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.type('summ')
    await page
      .getByRole('dialog')
      .getByRole('button', { name: /^Summer 0 items/ })
      .click()
    await page.getByText('1 item added to Summer').waitFor()
    // What is asked about is not carried out by Enter.
    await page.getByRole('gridcell').first().hover()
    await page.getByRole('button', { name: 'Select' }).first().click()
    await page.keyboard.press('Shift+Delete')
    await page
      .getByRole('dialog')
      .getByRole('button', { name: 'Cancel' })
      .and(page.locator(':focus'))
      .waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    assert.equal(await page.getByRole('gridcell').count(), 4)
    assert.deepEqual(takeProblems(), [])
  })

  test('a server that is gone is told, and that it is back', async (t) => {
    const server = await startTestServer(t)
    const { page } = await suite.open(t, server.url)
    await page.getByText('No photos yet').waitFor()
    // The websocket falls with the connection; the browser reaches nobody until it is back.
    await page.context().setOffline(true)
    const told = page.getByRole('status').getByText("Glassine can't be reached. This page keeps trying.")
    await told.waitFor()
    await checkAccess(page, 'a page without its server')
    await page.context().setOffline(false)
    await told.waitFor({ state: 'hidden' })
  })

  test("an address of Immich's page leads to the same thing, and one that leads nowhere leads back", async (t) => {
    const server = await startTestServer(t)
    const { page } = await suite.open(t, server.url)
    for (const [path, heading] of [
      ['/favorites', 'Favourites'],
      ['/user-settings', 'Account'],
      ['/admin/users', 'Users'],
      ['/search', 'Search'],
      ['/sharing', 'Albums'],
      ['/admin/jobs-status', 'Storage'],
    ] as const) {
      await page.goto(path)
      await page.getByRole('heading', { name: heading, exact: true }).waitFor()
    }
    await page.goto('/share/abc')
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor()
    assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0, 'it cannot help')
    await page.getByRole('link', { name: 'Back to photos' }).click()
    await page.waitForURL('**/photos')
  })

  test('its scripts and styles, and long answers, come compressed', async (t) => {
    const server = await startTestServer(t)
    await fill(server, { months: 1, perMonth: 60 })
    const { page } = await suite.open(t, server.url)
    // A body can't be read any more when its page is left.
    await page.waitForLoadState('networkidle')
    const answers: Response[] = []
    page.on('response', (response) => void answers.push(response))
    await page.reload()
    await page.locator('img.shown').first().waitFor()
    await page.waitForLoadState('networkidle')
    const plain: string[] = []
    let compressed = 0
    for (const response of answers) {
      const { pathname } = new URL(response.url())
      if (!/\.(js|css)$|^\/photos$|\/timeline\/bucket$/.test(pathname)) continue
      if (/^(br|gzip)$/.test(response.headers()['content-encoding'] ?? '')) compressed++
      // Small ones are not worth it.
      else if ((await response.body()).length >= 2048) plain.push(pathname)
    }
    assert.deepEqual(plain, [])
    assert.ok(compressed > 10, `${compressed} answers were compressed`)
  })

  test('three sizes of photos, and the choice is kept', async (t) => {
    const server = await startTestServer(t)
    await fill(server, { months: 3, perMonth: 40 })
    const { page } = await suite.open(t, server.url, { viewport: { width: 1440, height: 900 } })
    const shown = async () => {
      await goToDate(page, 'April 2024')
      await page.getByRole('banner').getByText('April 2024').waitFor()
      await page.getByRole('gridcell').first().waitFor()
      const boxes = await page.getByRole('gridcell').evaluateAll((cells) =>
        (cells as unknown as { getBoundingClientRect(): { top: number; bottom: number } }[]).map((cell) => {
          const { top, bottom } = cell.getBoundingClientRect()
          return (top + bottom) / 2
        }),
      )
      return boxes.filter((middle) => middle > 56 && middle < 900).length
    }
    const medium = await shown()
    assert.ok(medium >= 18, `${medium} on a screen of 1440 x 900`)
    const choose = async (name: string) => {
      await page.getByRole('button', { name: 'Size of the photos' }).click()
      await page.getByRole('menuitemradio', { name }).click()
    }
    await choose('Small photos')
    const small = await shown()
    assert.ok(small >= 30, `${small} small ones`)
    await page.reload()
    assert.equal(await shown(), small, 'kept')
    await choose('Large photos')
    const large = await shown()
    assert.ok(large <= 14 && large > 3, `${large} large ones`)
  })
})
