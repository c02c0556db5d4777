/**
 * What has just been sent, before the server has made its previews; and previews that can't be made or drawn.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import { needsBrowser } from '../../support/page/browser.ts'
import { readPixels } from '../../support/page/in-page.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { idsByName, pickFiles, tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()
const red = () =>
  sharp({ create: { width: 600, height: 400, channels: 3, background: '#d01010' } })
    .jpeg()
    .toBuffer()

describe('fresh uploads on the page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a file that this browser has sent is seen at once, drawn by the browser', async (t) => {
    const server = await startTestServer(t)
    const { page, takeProblems } = await suite.open(t, server.url)
    const path = join(tmpdir(), `glassine-fresh-${process.pid}.jpg`)
    await writeFile(path, await red())
    await pickFiles(page, [path])
    // No job runs: the server has made nothing.
    const image = page.getByRole('gridcell').locator('img.shown')
    await image.waitFor()
    const [r, g, b] = await readPixels(image)
    assert.ok(r! > 180 && g! < 60 && b! < 60, `it shows ${r}, ${g}, ${b}`)
    assert.equal(await page.getByText('No preview').count(), 0)
    await page.getByText('1 preview being prepared').waitFor()

    await server.runJobs()
    const [id] = (await idsByName(page)).values()
    await tileOf(page, id!).locator(`img[src^="/api/assets/${id}/thumbnail"].shown`).waitFor()
    await page.getByText('1 preview being prepared').waitFor({ state: 'hidden' })
    assert.deepEqual(takeProblems(), [])
  })

  test('what waits is being prepared, and only what failed has no preview', async (t) => {
    const server = await startTestServer(t)
    await server.admin.upload(Buffer.from('this is no picture'), 'broken.jpg')
    await server.runJobs()
    const { id } = await server.admin.upload(await red(), 'waiting.jpg')
    const { page, takeProblems } = await suite.open(t, server.url)
    await tileOf(page, id).getByText('Being prepared').waitFor()
    await page.getByText('No preview', { exact: true }).waitFor()
    assert.equal(await page.getByText('No preview', { exact: true }).count(), 1)
    await tileOf(page, id).click()
    await page.getByRole('heading', { name: 'The preview is being prepared' }).waitFor()
    await server.runJobs()
    await page.getByRole('img', { name: 'waiting.jpg' }).waitFor()
    assert.deepEqual(takeProblems(), [])
  })

  test('a thumbhash that nobody can decode leaves a grey frame, and the page works', async (t) => {
    const server = await startTestServer(t)
    const first = await server.admin.upload(await red(), 'first.jpg')
    await server.admin.upload(
      await sharp(await red())
        .flip()
        .tint('#0000ff')
        .jpeg()
        .toBuffer(),
      'second.jpg',
    )
    await server.runJobs()
    // The database refuses one since; an older one may be in a page's memory, or come from another server.
    await server.pool.query('alter table asset drop constraint asset_thumbhash')
    await server.pool.query(`update asset set thumbhash = '\\x0102' where id = $1`, [first.id])
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.getByRole('gridcell').nth(1).waitFor()
    await page.locator('img.shown').nth(1).waitFor()
    await tileOf(page, first.id).click()
    await page.getByRole('img', { name: 'first.jpg' }).waitFor()
    assert.deepEqual(takeProblems(), [])
  })

  test('a photo that cannot be drawn leaves its place grey, and the page and its other photos work', async (t) => {
    const server = await startTestServer(t)
    await server.admin.upload(await red(), 'odd.jpg')
    const { id } = await server.admin.upload(
      await sharp(await red())
        .flip()
        .tint('#0000ff')
        .jpeg()
        .toBuffer(),
      'b.jpg',
    )
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url)
    // As a server would answer that knows dates which this page does not.
    await page.route('**/api/timeline/bucket?*', async (route) => {
      const response = await route.fetch()
      const columns = (await response.json()) as { id: string[]; fileCreatedAt: string[] }
      const fileCreatedAt = columns.fileCreatedAt.map((at, index) => (columns.id[index] === id ? at : '+1e9'))
      await route.fulfill({ response, json: { ...columns, fileCreatedAt } })
    })
    await page.goto('/photos')
    await page.getByText('A photo that can’t be shown').waitFor({ state: 'attached' })
    await tileOf(page, id).click()
    await page.getByRole('img', { name: 'b.jpg' }).waitFor()
    assert.ok(takeProblems().length > 0, 'the reason is in the console')
  })
})
