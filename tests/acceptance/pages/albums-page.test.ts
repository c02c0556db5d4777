/**
 * An album: files dropped on it, its description and order, its cover, its members, and what its menu does.
 */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import type { Client } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { dropFromDesktop, needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { PHONE, pageSuite } from '../../support/page/page-suite.ts'
import { tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()
type Album = {
  description: string
  order: string
  assetCount: number
  albumThumbnailAssetId: string | null
  albumUsers: { role: string; user: { name: string } }[]
}

const picture = (background: string) =>
  sharp({ create: { width: 300, height: 200, channels: 3, background } })
    .jpeg()
    .toBuffer()

async function makeAlbum(server: TestServer, assetIds: string[]): Promise<string> {
  const { id } = await server.admin.json<{ id: string }>('/albums', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ albumName: 'Summer', assetIds }),
  })
  return id
}

describe('an album', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('what is dropped on it is uploaded into it, and so is what was here already', async (t) => {
    const server = await startTestServer(t)
    const known = await picture('#115599')
    await server.admin.upload(known, 'known.jpg')
    await server.runJobs()
    const id = await makeAlbum(server, [])
    const folder = join(tmpdir(), `glassine-album-${process.pid}`)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'known.jpg'), known)
    await writeFile(join(folder, 'new.jpg'), await picture('#995511'))
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto(`/albums/${id}`)
    await page.getByText('An empty album').waitFor()
    await dropFromDesktop(page, [join(folder, 'known.jpg'), join(folder, 'new.jpg')])
    await page.getByText('1 uploaded, 1 already here').first().waitFor()
    await page.getByRole('gridcell').nth(1).waitFor()
    const album = await server.admin.json<Album>(`/albums/${id}`)
    assert.equal(album.assetCount, 2)
    assert.deepEqual(takeProblems(), [])
  })

  test('its photos are chosen from the library; description, order and cover are kept', async (t) => {
    const server = await startTestServer(t)
    const one = await server.admin.upload(await picture('#aa2222'), 'one.jpg')
    const two = await server.admin.upload(await picture('#22aa22'), 'two.jpg')
    await server.runJobs()
    const id = await makeAlbum(server, [])
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto(`/albums/${id}`)
    await page.getByRole('link', { name: 'Add photos' }).click()
    await page.getByText('Select photos for Summer').waitFor()
    await tileOf(page, one.id).waitFor()
    await page.keyboard.press('Control+a')
    await page.getByText('2 selected').waitFor()
    await page.getByRole('button', { name: 'Add to this album' }).click()
    await page.waitForURL(`**/albums/${id}`)
    await tileOf(page, two.id).waitFor()
    await checkAccess(page, 'album')

    const menu = page.getByRole('button', { name: 'More about this album' })
    await menu.click()
    await checkAccess(page, 'menu of an album')
    await page.getByRole('menuitem', { name: 'Edit name, description and order' }).click()
    const form = page.getByRole('dialog', { name: 'Edit album' })
    await form.getByLabel('Description').fill('By the sea')
    await form.getByLabel('Oldest first').check()
    await form.getByRole('button', { name: 'Save' }).click()
    await page.getByText('By the sea').waitFor()
    await tileOf(page, one.id).hover()
    await page
      .getByRole('gridcell')
      .filter({ has: tileOf(page, one.id) })
      .getByRole('button', { name: 'Select' })
      .click()
    await page.getByRole('button', { name: 'More actions' }).click()
    await page.getByRole('menuitem', { name: 'Use as album cover' }).click()
    await page.getByText('This is the cover of the album now').waitFor()
    const album = await server.admin.json<Album>(`/albums/${id}`)
    assert.deepEqual(
      [album.description, album.order, album.albumThumbnailAssetId],
      ['By the sea', 'asc', one.id],
    )
    await page.keyboard.press('Escape')
    // The dangerous one is not alone in the corner.
    await menu.click()
    await page.getByRole('menuitem', { name: 'Delete album' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Delete the album' }).click()
    await page.waitForURL('**/albums')
    await page.getByText('No albums yet').waitFor()
    assert.deepEqual(takeProblems(), [])
  })

  test('somebody is invited, sees it, may look only, and leaves', async (t) => {
    const server = await startTestServer(t)
    const one = await server.admin.upload(await picture('#aa2222'), 'one.jpg')
    await server.runJobs()
    const id = await makeAlbum(server, [one.id])
    await server.newUser('berta')
    const { page } = await suite.open(t, server.url)
    await page.goto(`/albums/${id}`)
    await page.getByRole('button', { name: 'Share' }).click()
    const dialog = page.getByRole('dialog', { name: 'Share this album' })
    await dialog.getByRole('button', { name: 'Add berta' }).click()
    await dialog.getByLabel('What berta may do').waitFor()
    await checkAccess(page, 'members of an album')
    await page.keyboard.press('Escape')
    await page.getByText('shared with berta').waitFor()

    const guest = await suite.open(t, server.url, {
      ...PHONE,
      who: { email: 'berta@example.org', password: 'a long password' },
    })
    await guest.page.goto('/albums')
    await guest.page.getByRole('link', { name: /Summer.*by Admin/s }).tap()
    await tileOf(guest.page, one.id).waitFor()
    assert.equal(await guest.page.getByRole('link', { name: 'Add photos' }).count(), 0)
    await checkWidth(guest.page, 'a shared album on a phone')
    await tileOf(guest.page, one.id).tap()
    await guest.page.getByRole('button', { name: 'Information' }).waitFor()
    assert.equal(await guest.page.getByRole('button', { name: 'Move to trash' }).count(), 0)
    await guest.page.getByRole('button', { name: 'Back' }).tap()
    await guest.page.getByRole('button', { name: 'More about this album' }).tap()
    await guest.page.getByRole('menuitem', { name: 'Leave this album' }).tap()
    await guest.page.getByRole('dialog').getByRole('button', { name: 'Leave' }).tap()
    await guest.page.getByText('No albums yet').waitFor()
    await eventually(async () => {
      const { albumUsers } = await server.admin.json<Album>(`/albums/${id}`)
      assert.deepEqual(
        albumUsers.map(({ role }) => role),
        ['owner'],
      )
    })
    assert.deepEqual(guest.takeProblems(), [])
  })

  test('an editor invites others, and is offered nothing with photos that are not theirs', async (t) => {
    const server = await startTestServer(t)
    const one = await server.admin.upload(await picture('#aa2222'), 'one.jpg')
    const berta = await server.newUser('berta')
    const own = await berta.upload(await picture('#2222aa'), 'own.jpg')
    await server.runJobs()
    const id = await makeAlbum(server, [one.id])
    await server.newUser('carla')
    const send = (client: Client, method: string, path: string, body: unknown) =>
      client.json(path, {
        method,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
    const { userId } = berta
    await send(server.admin, 'PUT', `/albums/${id}/users`, { albumUsers: [{ userId, role: 'editor' }] })
    await send(berta, 'PUT', `/albums/${id}/assets`, { ids: [own.id] })

    const { page, takeProblems } = await suite.open(t, server.url, {
      who: { email: 'berta@example.org', password: 'a long password' },
    })
    await page.goto(`/albums/${id}/${one.id}`)
    const viewer = page.getByRole('dialog', { name: /^one/ })
    await viewer.getByRole('img', { name: 'one.jpg' }).waitFor()
    const offered = async () => {
      await viewer.getByRole('button', { name: 'More actions' }).click()
      const items = await page.getByRole('menuitem').allTextContents()
      await page.keyboard.press('Escape')
      return items.map((text) => text.trim())
    }
    const ofOthers = await offered()
    assert.ok(ofOthers.includes('Use as album cover'), String(ofOthers))
    for (const action of ['Remove from the album', 'Archive', 'Delete permanently'])
      assert.ok(!ofOthers.includes(action), `${action} of another's photo`)
    assert.equal(await viewer.getByRole('button', { name: 'Move to trash' }).count(), 0)
    await page.keyboard.press('f')
    await page.keyboard.press('i')
    await page.getByRole('heading', { name: 'Information' }).waitFor()
    assert.equal(await page.getByText('Where the original is').count(), 0, 'of another')
    await page.keyboard.press('i')
    await viewer.getByRole('button', { name: 'Back' }).click()

    await tileOf(page, own.id).click()
    await page.getByRole('dialog', { name: /^own/ }).getByRole('button', { name: 'Move to trash' }).waitFor()
    await page.getByRole('button', { name: 'Back' }).click()
    await page.getByRole('button', { name: 'Share' }).click()
    const dialog = page.getByRole('dialog', { name: 'Share this album' })
    await dialog.getByRole('button', { name: 'Add carla' }).click()
    await dialog.getByLabel('What carla may do').waitFor()
    assert.equal(await dialog.getByLabel('What berta may do').count(), 0)
    assert.deepEqual(takeProblems(), [])
  })

  test('it is downloaded as a zip that the browser streams, followed in a panel', async (t) => {
    const server = await startTestServer(t)
    const ids = []
    for (const colour of ['#aa2222', '#22aa22', '#2222aa'])
      ids.push((await server.admin.upload(await picture(colour), `${colour.slice(1)}.jpg`)).id)
    await server.runJobs()
    const id = await makeAlbum(server, ids)
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto(`/albums/${id}`)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download' }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'Summer.zip')
    assert.match(download.url(), /\/api\/download\/archives\/[0-9a-f-]{36}$/, 'no blob of the page')
    assert.equal(await download.failure(), null)
    const panel = page.getByRole('region', { name: 'Downloads' })
    await panel.getByText(/3 files, .* complete/).waitFor()
    await checkAccess(page, 'downloads')
    await panel.getByRole('button', { name: 'Close the downloads' }).click()
    await panel.waitFor({ state: 'hidden' })
    assert.deepEqual(takeProblems(), [])
  })
})
