/**
 * A long timeline on a large screen: a fast scroll asks for little, and nothing jumps when everything is
 * selected.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import { cloneAssets } from '../../support/clone-assets.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

async function fill(server: TestServer, size: { months: number; perMonth: number }): Promise<number> {
  const picture = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#886644' } })
    .jpeg()
    .toBuffer()
  const { id } = await server.admin.upload(picture, 'photo.jpg')
  await server.runJobs()
  return (await cloneAssets(server.pool, id, size)) + 1
}

/** Resolves when the page has heard of it. */
function scrollBy(page: Page, pixels: number): Promise<void> {
  return page.locator('.scroller').evaluate((element, by) => {
    const scroller = element as unknown as {
      scrollTop: number
      addEventListener(name: string, listener: () => void, options: { once: boolean }): void
    }
    return new Promise<void>((resolve) => {
      scroller.addEventListener('scroll', resolve, { once: true })
      scroller.scrollTop += by
    })
  }, pixels)
}

describe('scrolling', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a fast wheel over thousands on a screen of 3440 px does not ask for them all', async (t) => {
    const server = await startTestServer(t)
    const count = await fill(server, { months: 60, perMonth: 100 })
    const { page } = await suite.open(t, server.url, { viewport: { width: 3440, height: 1440 } })
    await page.locator('img.shown').first().waitFor()
    await page.waitForLoadState('networkidle')
    let asked = 0
    page.on('request', (request) => {
      if (request.url().includes('/thumbnail')) asked++
    })
    // As fast as a wheel is turned, whatever else this machine does: 1,500 px each 30 ms of the page's clock.
    await page.clock.install()
    await page.clock.pauseAt(Date.now() + 60_000)
    const turns = 40
    for (let turn = 0; turn < turns; turn++) {
      await scrollBy(page, 1500)
      await page.clock.runFor(30)
    }
    assert.ok(asked < 150, `${asked} pictures were asked for on the way`)
    await page.clock.runFor(2000)
    await page.locator('img.shown').first().waitFor()
    await page.waitForLoadState('networkidle')
    // What is in the window at the end, and a little beyond.
    assert.ok(asked > 50 && asked < count / 10, `${asked} pictures of ${count} were asked for`)
  })

  test('Ctrl+A in the middle, with months above that were never loaded, moves nothing', async (t) => {
    const server = await startTestServer(t)
    const count = await fill(server, { months: 48, perMonth: 30 })
    const { page, takeProblems } = await suite.open(t, server.url)
    const scrubber = page.getByRole('slider', { name: 'Date' })
    await page.getByRole('gridcell').first().waitFor()
    const { x, y, width, height } = (await scrubber.boundingBox())!
    await page.mouse.click(x + width / 2, y + height * 0.6)
    await page.waitForLoadState('networkidle')
    await page.locator('img.shown').first().waitFor()
    const middle = page.locator('a[data-id]').nth(12)
    const id = await middle.getAttribute('data-id')
    const before = (await page.locator(`a[data-id="${id}"]`).boundingBox())!
    await page.keyboard.press('Control+a')
    await page.getByText(`${new Intl.NumberFormat('en-US').format(count)} selected`).waitFor()
    const cell = page.getByRole('gridcell').filter({ has: page.locator(`a[data-id="${id}"]`) })
    const after = (await cell.boundingBox())!
    assert.ok(Math.abs(after.y - before.y) <= 2, `it moved from ${before.y} to ${after.y}`)
    assert.ok(Math.abs(after.x - before.x) <= 2)
    // Nothing is drawn twice, nor half over another.
    const boxes = await page.getByRole('gridcell').evaluateAll((cells) =>
      (
        cells as unknown as {
          getBoundingClientRect(): { left: number; top: number; right: number; bottom: number }
        }[]
      ).map((one) => {
        const { left, top, right, bottom } = one.getBoundingClientRect()
        return { left, top, right, bottom }
      }),
    )
    for (const [index, a] of boxes.entries())
      for (const b of boxes.slice(index + 1))
        assert.ok(
          a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1,
          'two photos lie over each other',
        )
    assert.deepEqual(takeProblems(), [])
  })
})
