/** The search: what is typed, what is suggested, what is found, and taking it away again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { cloneAssets } from '../../support/clone-assets.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

async function addPhoto(
  server: TestServer,
  name: string,
  exif: Record<string, string>,
  takenAt: string,
): Promise<string> {
  const bytes = await sharp({
    create: { width: 300, height: 200, channels: 3, background: { r: name.length * 20, g: 90, b: 120 } },
  })
    .withMetadata({ exif: { IFD0: exif } })
    .jpeg()
    .toBuffer()
  const { id } = await server.admin.upload(bytes, name)
  await server.admin.json(`/assets/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ dateTimeOriginal: takenAt }),
  })
  return id
}

const field = (page: Page) =>
  page.getByRole('combobox', { name: 'Search your photos' }).filter({ visible: true })
const found = (page: Page) => page.locator('a[data-id]')

describe('the search page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a camera, a time, a kind and a name are found, as a grid with chips', async (t) => {
    const server = await startTestServer(t)
    const canon = await addPhoto(
      server,
      'a.jpg',
      { Make: 'Canon', Model: 'Canon EOS 6D' },
      '2019-07-10T12:00:00+02:00',
    )
    const named = await addPhoto(
      server,
      'canonball.jpg',
      { Make: 'NIKON', Model: 'D750' },
      '2019-08-03T12:00:00+02:00',
    )
    const old = await addPhoto(
      server,
      'old one.jpg',
      { Make: 'Canon', Model: 'Canon EOS 6D' },
      '2010-02-01T12:00:00+01:00',
    )
    await server.runJobs()
    await server.pool.query(
      "update asset_exif set city = 'Berlin', country = 'Germany' where asset_id = $1",
      [named],
    )
    const { page, takeProblems } = await suite.open(t, server.url)

    // By its camera, not by a name that happens to hold the word.
    await page.keyboard.press('/')
    await page.keyboard.type('canon')
    await page.getByRole('option', { name: 'Camera Canon', exact: true }).waitFor()
    await page.getByRole('option', { name: 'File name contains canon' }).waitFor()
    await checkAccess(page, 'suggestions')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/search?make=Canon')
    await page.getByText('2 items found').waitFor()
    await tileOf(page, canon).waitFor()
    assert.equal(await found(page).count(), 2)

    // Narrowed down by a time that people write.
    await field(page).fill('07/2019')
    await page.getByRole('option', { name: 'Taken July 2019' }).click()
    await page.getByText('1 item found').waitFor()
    assert.deepEqual(await found(page).count(), 1)
    await page.getByRole('button', { name: 'Remove Camera: Canon' }).click()
    await page.getByRole('button', { name: 'Remove July 2019' }).waitFor()
    await page.getByRole('button', { name: 'Remove Camera: Canon' }).waitFor({ state: 'detached' })
    await page.goto('/search')
    await field(page).fill('berlin')
    await page.getByRole('option', { name: 'Place Berlin' }).waitFor()
    await page.keyboard.press('Enter')
    await tileOf(page, named).waitFor()
    await page.goto('/search')
    await field(page).fill('nonball')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/search?originalFileName=nonball')
    await page.getByText('1 item found').waitFor()
    await tileOf(page, named).waitFor()

    // The viewer over it, and back to the same search.
    await tileOf(page, named).click()
    await page.waitForURL(`**/search/${named}?originalFileName=nonball`)
    await page.getByRole('img', { name: 'canonball.jpg' }).waitFor()
    await page.keyboard.press('Escape')
    await page.waitForURL('**/search?originalFileName=nonball')

    // Everything that the server can be asked, by the form.
    await page.goto('/search')
    await page.getByRole('button', { name: 'Filters' }).click()
    const form = page.getByRole('dialog', { name: 'Filters' })
    await checkAccess(page, 'filters')
    await form.getByLabel('Taken until').fill('2015-01-01')
    await form.locator('select[name=model]').selectOption('Canon EOS 6D')
    await form.getByRole('button', { name: 'Search' }).click()
    await tileOf(page, old).waitFor()
    assert.equal(await found(page).count(), 1)
    await page.goto('/search?type=VIDEO')
    await page.getByText('Nothing found').waitFor()
    assert.deepEqual(takeProblems(), [])

    const phone = await suite.open(t, server.url, { ...PHONE, colorScheme: 'dark' })
    await phone.page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Search' }).tap()
    await phone.page.getByRole('link', { name: 'Berlin' }).waitFor()
    await checkAccess(phone.page, 'search on a phone, dark')
    await field(phone.page).fill('eos')
    await phone.page.getByRole('option', { name: /Camera Canon EOS 6D/ }).tap()
    await phone.page.getByText('2 items found').waitFor()
    await checkWidth(phone.page, 'search on a phone')
    assert.deepEqual(phone.takeProblems(), [])
  })

  test('a search of a thousand goes on to its end, and all of it can be selected', async (t) => {
    const server = await startTestServer(t)
    const id = await addPhoto(server, 'copy-0.jpg', {}, '2024-05-20T12:00:00+02:00')
    await server.runJobs()
    const count = (await cloneAssets(server.pool, id, { months: 60, perMonth: 15 })) + 1
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/search?originalFileName=copy')
    await page.getByText(`${count} items found`).waitFor()
    await page.getByRole('slider', { name: 'Date' }).focus()
    // Each step to the end of what is loaded brings the next page, until there is none.
    const scrubber = page.getByRole('slider', { name: 'Date' })
    for (;;) {
      await page.keyboard.press('End')
      const text = await scrubber.getAttribute('aria-valuetext')
      if (text?.startsWith('May 2019')) break
      await page.waitForTimeout(100)
    }
    await page.keyboard.press('Home')
    await page.getByRole('gridcell').first().hover()
    await page.getByRole('button', { name: 'Select' }).first().click()
    await page.getByRole('button', { name: 'Select all' }).click()
    await page.getByText(`${count} selected`).waitFor()

    // Also while a page is on its way, which is waited for.
    await page.goto('/search?originalFileName=copy-')
    await found(page).first().waitFor()
    let release = () => {}
    const isAsked = new Promise<void>((resolve) => {
      void page.route(
        '**/api/search/metadata',
        (route) => {
          release = () => void route.continue()
          resolve()
        },
        { times: 1 },
      )
    })
    await page.getByRole('slider', { name: 'Date' }).focus()
    await page.keyboard.press('End')
    await isAsked
    await page.keyboard.press('Control+a')
    release()
    await page.getByText(`${count} selected`).waitFor()
    assert.deepEqual(takeProblems(), [])
  })
})
