/**
 * Favourites, archive, recently added: what is put somewhere is found there, and what is taken out goes back.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()
const picture = (background: string) =>
  sharp({ create: { width: 300, height: 200, channels: 3, background } })
    .jpeg()
    .toBuffer()

describe('collections', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a favourite is found among the favourites, what is archived in the archive', async (t) => {
    const server = await startTestServer(t)
    const one = await server.admin.upload(await picture('#aa2222'), 'one.jpg')
    const two = await server.admin.upload(await picture('#22aa22'), 'two.jpg')
    const three = await server.admin.upload(await picture('#2222aa'), 'three.jpg')
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url)
    const nav = page.getByRole('navigation', { name: 'Main' })
    const select = async (id: string) => {
      await tileOf(page, id).hover()
      await page
        .getByRole('gridcell')
        .filter({ has: tileOf(page, id) })
        .getByRole('button', { name: 'Select' })
        .click()
    }
    await select(one.id)
    await page.keyboard.press('f')
    await page.keyboard.press('Escape')
    await nav.getByRole('link', { name: 'Favourites' }).click()
    await page.getByRole('heading', { name: 'Favourites' }).waitFor()
    await tileOf(page, three.id).waitFor({ state: 'detached' })
    await tileOf(page, one.id).waitFor()
    assert.equal(await page.getByRole('gridcell').count(), 1)
    await checkAccess(page, 'favourites')
    // No longer one, it leaves the page at once.
    await tileOf(page, one.id).click()
    await page.getByRole('button', { name: 'Favourite' }).click()
    await page.keyboard.press('Escape')
    await page.getByText('No favourites yet').waitFor()

    await nav.getByRole('link', { name: 'Photos' }).click()
    await select(two.id)
    await page.getByRole('button', { name: 'More actions' }).click()
    await page.getByRole('menuitem', { name: 'Archive' }).click()
    await page.getByText('1 item archived').waitFor()
    await tileOf(page, two.id).waitFor({ state: 'detached' })
    await nav.getByRole('link', { name: 'Archive' }).click()
    await page.getByRole('heading', { name: 'Archive' }).waitFor()
    await tileOf(page, three.id).waitFor({ state: 'detached' })
    await tileOf(page, two.id).waitFor()
    assert.equal(await page.getByRole('gridcell').count(), 1)
    await tileOf(page, two.id).focus()
    await page.keyboard.press('A')
    await page.getByText('Nothing is archived').waitFor()
    assert.deepEqual(takeProblems(), [])

    // The one that came last first, whenever it was taken.
    await server.pool.query("update asset set created_at = now() - interval '40 days' where id = $1", [
      one.id,
    ])
    await server.pool.query("update asset set local_date_time = '1999-01-01' where id = $1", [three.id])
    const phone = await suite.open(t, server.url, PHONE)
    await phone.page.goto('/recently-added')
    await phone.page.getByRole('gridcell').nth(2).waitFor()
    const ids = await phone.page
      .locator('a[data-id]')
      .evaluateAll((links) =>
        (links as unknown as { getAttribute(name: string): string }[]).map((link) =>
          link.getAttribute('data-id'),
        ),
      )
    assert.equal(ids[0], three.id)
    assert.equal(ids[2], one.id)
    await checkWidth(phone.page, 'recently added')
    await checkAccess(phone.page, 'recently added on a phone')
  })
})
