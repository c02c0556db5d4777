/**
 * The page as a person uses it, in a real browser against the real server with the demonstration bucket: from
 * the first account to trash and restore. The tests stand in the order of that person's day, and each goes on
 * where the last one ended. Imports nothing from `src/` or `web/`.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Browser, Locator, Page } from 'playwright-core'
import { dropFromDesktop, needsBrowser, openPage, type WatchedPage } from '../../support/page/browser.ts'
import { fillDesktop, PICKED, VIDEO } from '../../support/page/desktop.ts'
import { playAndSeek, readFocus, readPaper, readPixels } from '../../support/page/in-page.ts'
import {
  checkAccess,
  checkWidth,
  expectAttribute,
  expectFocus,
  expectRatio,
  tabTo,
} from '../../support/page/page-checks.ts'
import { closePages, sharedBrowser } from '../../support/page/shared-browser.ts'
import {
  allProcessed,
  goToDate,
  idsByName,
  pickFiles,
  tileOf,
  UPLOAD_LIMIT_MS,
  uploadState,
  uploadsFinish,
} from '../../support/page/sheet-page.ts'
import { type SpawnedServer, spawnServer } from '../../support/spawn-server.ts'

const PROJECT = new URL('../../..', import.meta.url).pathname
const WHO = { name: 'Ada', email: 'ada@example.org', password: 'a long password' }
const { skip } = await needsBrowser()

describe('the page in a browser', { skip, timeout: 600_000 }, () => {
  let folder: string
  let desktop: string
  let server: SpawnedServer
  let browser: Browser
  let watched: WatchedPage
  /** A second window of the same browser, in which the storage page stays open and is never reloaded. */
  let storage: Page
  let page: Page

  before(async () => {
    await promisify(execFile)(process.execPath, ['web/build.ts', '--if-stale'], { cwd: PROJECT })
    folder = await mkdtemp(join(tmpdir(), 'glassine-browser-'))
    desktop = await fillDesktop(join(folder, 'desktop'))
    await mkdir(join(folder, 'data'))
    // Through the server, so that an original is seen on its way from the disk to the bucket.
    const config = 'storage: { upload: { direct: off } }\n'
    server = await spawnServer({ dataDir: join(folder, 'data'), config })
    browser = await sharedBrowser()
    watched = await openPage(browser, server.url)
    page = watched.page
  })

  after(async () => {
    await closePages()
    await server?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  let failedAt: string | null = null
  /** A test that stands on all before it: after one that failed, the rest would only wait in vain. */
  function step(name: string, run: () => Promise<void>): void {
    test(name, async () => {
      assert.equal(failedAt, null, 'not reached')
      try {
        // A window behind another draws once a second only, and a click waits for two drawings.
        await page.bringToFront()
        await run()
        assert.deepEqual(watched.takeProblems(), [], 'the page complained')
      } catch (error) {
        failedAt = name
        const picture = join(tmpdir(), `glassine-browser-${process.pid}`)
        await page?.screenshot({ path: `${picture}.png` })
        await storage?.screenshot({ path: `${picture}-storage.png` })
        process.stderr.write(`\n*** what the page showed: ${picture}*.png\n`)
        throw error
      }
    })
  }

  step('the first person is led to the sign-up and finds an empty sheet', async () => {
    await page.goto('/')
    await page.waitForURL('**/auth/register')
    await page.getByRole('heading', { name: 'Create your account' }).waitFor()
    await checkAccess(page, 'sign-up')
    await checkWidth(page, 'sign-up')
    await page.getByLabel('Name').fill(WHO.name)
    await page.getByLabel('E-mail').fill(WHO.email)
    await page.getByLabel('Password').fill(WHO.password)
    await page.getByRole('button', { name: 'Create the account' }).click()
    await page.waitForURL('**/photos')
    await page.getByText('No photos yet').waitFor()
    await page.getByRole('button', { name: 'Choose a folder' }).waitFor()
    for (const [path, words] of [
      ['/albums', 'No albums yet'],
      ['/trash', 'The trash is empty'],
      ['/storage', 'No photos or videos yet.'],
    ] as const) {
      await page.goto(path)
      await page.getByText(words).waitFor()
    }
  })

  step('a wrong password is told, the right one leads to where one wanted', async () => {
    await page.goto('/settings')
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.waitForURL('**/auth/login')
    await checkAccess(page, 'login')
    await page.goto('/albums')
    await page.waitForURL('**/auth/login?next=%2Falbums')
    watched.expect(401, /^\/api\/auth\/login$/)
    await page.getByLabel('E-mail').fill(WHO.email)
    await page.getByLabel('Password').fill('not that one')
    await page.keyboard.press('Enter')
    await page
      .getByRole('alert')
      .getByText(/incorrect|wrong/i)
      .waitFor()
    assert.equal(await page.getByLabel('E-mail').inputValue(), WHO.email, 'what was typed is kept')
    await page.getByLabel('Password').fill(WHO.password)
    await page.keyboard.press('Enter')
    await page.waitForURL('**/albums')
  })

  step('picked files upload, and the sheet shows them in their true shapes', async () => {
    storage = await page.context().newPage()
    await storage.goto('/storage')
    await storage.getByText('No photos or videos yet.').waitFor()
    await storage.getByRole('button', { name: 'Details', exact: true }).click()
    await storage.getByText('All queues').click()
    // So that where the originals are can be seen before and after.
    await storage.getByRole('button', { name: 'Pause Copying' }).click()
    await storage.getByRole('button', { name: 'Resume Copying' }).waitFor()

    await page.bringToFront()
    await page.goto('/photos')
    const names = Object.keys(PICKED)
    await pickFiles(
      page,
      names.map((name) => join(desktop, name)),
    )
    await uploadsFinish(page, /4 uploaded/)
    for (const name of names) assert.equal(await uploadState(page, name), 'done')
    const ids = await idsByName(page)
    for (const [name, ratio] of Object.entries(PICKED)) {
      const tile = tileOf(page, ids.get(name)!)
      await tile.locator('img.shown').first().waitFor({ timeout: UPLOAD_LIMIT_MS })
      await expectRatio(tile, ratio)
    }
    // The same scene, once as it is and once lying in its file: what is seen must be the same.
    const upright = await readPixels(tileOf(page, ids.get('Landscape_1.jpg')!).locator('img'))
    const turned = await readPixels(tileOf(page, ids.get('Landscape_6.jpg')!).locator('img'))
    const difference = upright.reduce((sum, value, index) => sum + Math.abs(value - turned[index]!), 0)
    assert.ok(difference / upright.length < 16, `they differ by ${difference / upright.length} of 255`)
    await storage.getByText('4 originals, all with their only copy on this disk.').waitFor()
    await storage
      .getByRole('row', { name: /only on this disk/ })
      .getByRole('cell', { name: '4', exact: true })
      .waitFor()
  })

  step('dropped files and folders upload, and each file tells what became of it', async () => {
    await page.getByRole('button', { name: 'Close the panel' }).click()
    watched.expect(400, /^\/api\/assets$/)
    await dropFromDesktop(
      page,
      ['Landscape_1 again.jpg', 'broken.jpg', 'empty.jpg', 'notes.txt', VIDEO, 'Holiday'].map((name) =>
        join(desktop, name),
      ),
    )
    await uploadsFinish(page, /1 already here, 1 failed, 1 skipped/)
    assert.equal(await uploadState(page, 'Landscape_1 again.jpg'), 'already here')
    assert.equal(await uploadState(page, 'broken.jpg'), 'done')
    assert.equal(await uploadState(page, 'notes.txt'), 'skipped')
    assert.equal(await uploadState(page, 'empty.jpg'), 'failed')
    assert.equal(await uploadState(page, VIDEO), 'done')
    const empty = page.getByRole('listitem').filter({ hasText: 'empty.jpg' })
    await empty
      .getByText(/0 bytes|empty/i)
      .last()
      .waitFor()
    await empty.getByRole('button', { name: 'Retry' }).waitFor()
    const holiday = (await readdir(join(desktop, 'Holiday'), { recursive: true })).filter((name) =>
      name.endsWith('.jpg'),
    )
    const ids = await idsByName(page)
    for (const name of holiday)
      assert.ok(ids.has(name.slice(name.lastIndexOf('/') + 1)), `${name} was not uploaded`)
    await page.getByRole('button', { name: 'Close the panel' }).click()
    await page.getByLabel('Uploads').waitFor({ state: 'hidden' })
  })

  step('the scrubber leads through the months, by pointer and by keys', async () => {
    // What arrives live would still move the months about.
    await allProcessed(page)
    await page.reload()
    const scrubber = page.getByRole('slider', { name: 'Date' })
    await scrubber.focus()
    await page.keyboard.press('End')
    await expectAttribute(scrubber, 'aria-valuetext', /1998|1999/)
    const oldest = (await scrubber.getAttribute('aria-valuetext'))?.split(',')[0]
    await page.keyboard.press('ArrowUp')
    await expectAttribute(scrubber, 'aria-valuetext', new RegExp(`^(?!${oldest})`))
    const { x, y, width, height } = (await scrubber.boundingBox())!
    await page.mouse.click(x + width / 2, y + 40)
    await expectAttribute(scrubber, 'aria-valuetext', /20[12]\d/)
    await page.mouse.click(x + width / 2, y + height - 22)
    await expectAttribute(scrubber, 'aria-valuetext', new RegExp(`^${oldest}`))
    await scrubber.focus()
    await page.keyboard.press('Home')
    await expectAttribute(scrubber, 'aria-valuetext', /202\d/)
  })

  step('a photo opens, keys lead on and back, its receipt follows the original to the bucket', async () => {
    const ids = await idsByName(page)
    const tile = tileOf(page, ids.get('Landscape_1.jpg')!)
    // The sheet has just been led back to its top: it is there, and drawn, before it is clicked.
    await tile.locator('img.shown').first().waitFor()
    await tile.click()
    const viewer = page.getByRole('dialog', { name: /^Landscape_1\.jpg/ })
    await viewer.getByRole('img', { name: 'Landscape_1.jpg' }).waitFor()
    const here = page.url()
    const older = page.getByRole('button', { name: 'Older' })
    await older
      .or(page.getByRole('button', { name: 'Newer' }))
      .first()
      .waitFor()
    const back = (await older.count()) > 0 ? 'ArrowLeft' : 'ArrowRight'
    await page.keyboard.press(back === 'ArrowLeft' ? 'ArrowRight' : 'ArrowLeft')
    await page.waitForURL((url) => url.href !== here)
    await page.keyboard.press(back)
    await page.waitForURL(here)
    await page.keyboard.press('i')
    const info = page.getByRole('complementary', { name: 'Information' })
    await info.getByText('1800 × 1200').waitFor()
    const mark = info.getByRole('heading', { name: /Where the original is/ }).getByRole('img')
    await expectAttribute(mark, 'aria-label', /verified, .*: absent$/)
    await checkAccess(page, 'viewer')
    await storage.getByRole('button', { name: 'Resume Copying' }).click()
    await expectAttribute(mark, 'aria-label', /: absent, .*: verified$/)
    await info.getByText(/reports the right checksum|All bytes were read back/).waitFor()
    await info.getByText(/^[0-9a-f]{64}$/).waitFor()
    await page.keyboard.press('i')
    await info.waitFor({ state: 'hidden' })
    await page.keyboard.press('Escape')
    await viewer.waitFor({ state: 'hidden' })
    assert.equal(new URL(page.url()).pathname, '/photos')
    await expectFocus(page, (id) => id === ids.get('Landscape_1.jpg'))
  })

  step('a video plays and seeks', async () => {
    const ids = await idsByName(page)
    await page.goto(`/photos/${ids.get(VIDEO)}`)
    const { width, height } = await playAndSeek(page.locator('video'), 2.5)
    assert.deepEqual([width, height], [1280, 720])
    await page.keyboard.press('Escape')
    await page.waitForURL('**/photos')
  })

  step('a broken file says why it has no preview, and gives its original', async () => {
    const ids = await idsByName(page)
    await page.goto(`/photos/${ids.get('broken.jpg')}`)
    await page
      .getByRole('heading', { name: 'No preview could be made' })
      .waitFor({ timeout: UPLOAD_LIMIT_MS })
    await page
      .locator('.notice p')
      .filter({ hasText: /\w{3,}/ })
      .waitFor()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download the original' }).last().click(),
    ])
    assert.equal(download.suggestedFilename(), 'broken.jpg')
    await page.keyboard.press('Escape')
    await page.waitForURL('**/photos')
  })

  step('a selection by shift becomes favourites, an album, and goes to the trash and back', async () => {
    const favourites = page.getByRole('link', { name: /, favourite$/ })
    const menu = page.getByRole('navigation', { name: 'Main' })
    await goToDate(page, 'October 2008')
    const grid = page.getByRole('grid', { name: 'October 2008' })
    const cells = grid.getByRole('gridcell')
    await cells.nth(1).hover()
    await cells.nth(1).getByRole('button', { name: 'Select' }).click()
    await cells.nth(4).click({ modifiers: ['Shift'] })
    const bar = page.getByRole('toolbar', { name: 'Selection' })
    await bar.getByText('4 selected').waitFor()
    assert.equal(await page.getByRole('gridcell', { selected: true }).count(), 4)
    await bar.getByRole('button', { name: 'Favourite' }).click()
    await page.getByText('4 items made favourites').waitFor()
    await favourites.nth(3).waitFor()

    await bar.getByRole('button', { name: 'Add to album' }).click()
    await page.getByLabel('Find an album, or name a new one').fill('Summer')
    await page.keyboard.press('Enter')
    await page.getByText('4 items in the new album Summer').waitFor()
    await bar.waitFor({ state: 'hidden' })
    await menu.getByRole('link', { name: 'Albums' }).click()
    await page.getByRole('link', { name: /Summer\s*4 items/ }).click()
    await page.getByRole('gridcell').nth(3).waitFor()
    assert.equal(await page.getByRole('gridcell').count(), 4)

    await page.keyboard.press('Control+a')
    await page.getByRole('toolbar').getByRole('button', { name: 'Move to trash' }).click()
    await page.getByText('4 items moved to the trash').waitFor()
    await menu.getByRole('link', { name: 'Trash' }).click()
    await page.getByRole('gridcell').nth(3).waitFor()
    await page.getByRole('button', { name: 'Restore all' }).click()
    await page.getByText('The trash is empty').waitFor()
    await menu.getByRole('link', { name: 'Photos' }).click()
    await goToDate(page, 'October 2008')
    await favourites.nth(3).waitFor()
  })

  step('the storage page answers its four questions, and was never reloaded', async () => {
    const total = (await idsByName(page)).size
    await storage.bringToFront()
    await storage
      .getByRole('heading', {
        name: `All ${total} originals are proven in the demonstration bucket, which is on this machine and lost with it.`,
      })
      .waitFor({ timeout: UPLOAD_LIMIT_MS })
    for (const question of ['Where are the originals?', 'What is happening?', 'Storage locations'])
      await storage.getByRole('heading', { name: question }).waitFor()
    const offloaded = storage.getByRole('row', { name: /in the bucket only/i })
    await offloaded
      .getByRole('cell', { name: String(total), exact: true })
      .waitFor({ timeout: UPLOAD_LIMIT_MS })
    assert.equal(await storage.getByText('✓ healthy').count(), 2)
    await storage.getByText('demonstration bucket').first().waitFor()
    await checkAccess(storage, 'storage')
  })

  step('from the login to a photo and on by the keyboard alone', async () => {
    const other = await openPage(browser, server.url)
    await other.page.goto('/auth/login')
    await other.page.getByRole('heading', { name: 'Log in' }).waitFor()
    await tabTo(other.page, (label) => label === 'E-mail')
    await other.page.keyboard.type(WHO.email)
    await tabTo(other.page, (label) => label === 'Password')
    await other.page.keyboard.type(WHO.password)
    await other.page.keyboard.press('Enter')
    await other.page.waitForURL('**/photos')
    await other.page.getByRole('gridcell').first().waitFor()
    await tabTo(other.page, (label) => /^(Photo|Video)/.test(label))
    const first = (await readFocus(other.page)).assetId
    await other.page.keyboard.press('ArrowRight')
    // The first arrow shows where the focus is, the next one moves it.
    await other.page.keyboard.press('ArrowRight')
    const id = await expectFocus(other.page, (focused) => focused !== null && focused !== first)
    assert.equal((await readFocus(other.page)).ring, 'solid', 'the focus can be seen')
    await other.page.keyboard.press('Enter')
    await other.page.waitForURL(`**/photos/${id}`)
    await other.page.keyboard.press('ArrowRight')
    await other.page.waitForURL((url) => !url.pathname.endsWith(id!))
    await other.page.keyboard.press('Escape')
    await other.page.waitForURL('**/photos')
    assert.deepEqual(other.takeProblems(), [])
    await other.page.context().close()
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    step(`nothing is wider than a phone, and everybody can read it: ${colorScheme}`, async () => {
      const ids = await idsByName(page)
      const phone = await openPage(browser, server.url, {
        viewport: { width: 360, height: 740 },
        hasTouch: true,
        isMobile: true,
        colorScheme,
        storageState: await page.context().storageState(),
      })
      const albums = (await (await page.request.get('/api/albums')).json()) as { id: string }[]
      const screens = {
        timeline: ['/photos', phone.page.locator('img.shown').first()],
        viewer: [
          `/photos/${ids.get('Portrait_8.jpg')}`,
          phone.page.getByRole('dialog', { name: /^Portrait_8/ }),
        ],
        albums: ['/albums', phone.page.getByRole('link', { name: /Summer/ })],
        album: [`/albums/${albums[0]!.id}`, phone.page.getByRole('gridcell').first()],
        trash: ['/trash', phone.page.getByText('The trash is empty')],
        storage: ['/storage', phone.page.getByText('originals are proven in')],
        settings: ['/settings', phone.page.getByRole('heading', { name: 'API keys' })],
      } satisfies Record<string, [string, Locator]>
      for (const [name, [path, sign]] of Object.entries(screens) as [string, [string, Locator]][]) {
        await phone.page.goto(path)
        await sign.waitFor()
        await checkWidth(phone.page, name)
        await checkAccess(phone.page, `${name} on a phone, ${colorScheme}`)
      }
      const paper = await readPaper(phone.page)
      const lightness = Number(/oklch\(([\d.]+)/.exec(paper)?.[1])
      assert.ok(colorScheme === 'light' ? lightness > 0.9 : lightness < 0.3, `the paper is ${paper}`)
      await phone.page.context().clearCookies()
      await phone.page.goto('/auth/login')
      await phone.page.getByRole('heading', { name: 'Log in' }).waitFor()
      await checkWidth(phone.page, 'login')
      assert.deepEqual(phone.takeProblems(), [])
      await phone.page.context().close()
    })
  }
})
