/**
 * What one can say of a photo: its date, its place, a description and stars; and what one can do to many at
 * once.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import sharp from 'sharp'
import { eventually } from '../../support/eventually.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess } from '../../support/page/page-checks.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { tileOf } from '../../support/page/sheet-page.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()
type Asset = {
  localDateTime: string
  fileCreatedAt: string
  exifInfo: { description: string; rating: number | null; latitude: number | null; longitude: number | null }
}
const picture = (background: string) =>
  sharp({ create: { width: 300, height: 200, channels: 3, background } })
    .jpeg()
    .toBuffer()

describe('editing', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('description, rating, date and place of one photo, from the information panel', async (t) => {
    const server = await startTestServer(t)
    const { id } = await server.admin.upload(await picture('#aa2222'), 'one.jpg')
    await server.runJobs()
    const asset = () => server.admin.json<Asset>(`/assets/${id}`)
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto(`/photos/${id}`)
    await page.getByRole('img', { name: 'one.jpg' }).waitFor()
    await page.keyboard.press('i')
    const info = page.getByRole('complementary', { name: 'Information' })
    await info.getByLabel('Description').fill('At the lighthouse')
    await info.getByRole('button', { name: '4 stars' }).click()
    await eventually(async () => {
      const { exifInfo } = await asset()
      assert.deepEqual([exifInfo.description, exifInfo.rating], ['At the lighthouse', 4])
    })
    await checkAccess(page, 'information to be edited')
    // The key does the same, and the star that is chosen takes the rating away.
    await page.getByRole('dialog', { name: /^one\.jpg/ }).focus()
    await page.keyboard.press('2')
    await page.getByText('Rated ★★', { exact: true }).waitFor()
    await info.getByRole('button', { name: '2 stars' }).click()
    await eventually(async () => assert.equal((await asset()).exifInfo.rating, null))

    await info.getByRole('button', { name: 'Change the date' }).click()
    const date = page.getByRole('dialog', { name: 'Date', exact: true })
    await date.getByLabel('Date and time, where it was taken').fill('2019-07-14T18:05')
    await date.getByLabel('UTC offset there').selectOption('UTC+05:45')
    await checkAccess(page, 'change of a date')
    await date.getByRole('button', { name: 'Save' }).click()
    await info.getByText('Sunday 14 July 2019, 18:05').waitFor()
    const { fileCreatedAt, localDateTime } = await asset()
    assert.match(fileCreatedAt, /^2019-07-14T12:20:00/)
    assert.match(localDateTime, /^2019-07-14T18:05:00/)

    await info.getByRole('button', { name: 'Change the place' }).click()
    const place = page.getByRole('dialog', { name: 'Place' })
    await place.getByLabel('Latitude and longitude').fill('nowhere')
    await place.getByText('Write two numbers').waitFor()
    await place.getByLabel('Latitude and longitude').fill('33.86597° S 151.20507° E')
    await place.getByRole('button', { name: 'Save' }).click()
    await info.getByRole('link', { name: '33.86597° S 151.20507° E' }).waitFor()
    const { exifInfo } = await asset()
    assert.deepEqual([exifInfo.latitude, exifInfo.longitude], [-33.86597, 151.20507])
    assert.deepEqual(takeProblems(), [])
  })

  test('of several at once the dates are moved, and they move on the timeline', async (t) => {
    const server = await startTestServer(t)
    const ids: string[] = []
    for (const colour of ['#aa2222', '#22aa22']) {
      const { id } = await server.admin.upload(await picture(colour), `${colour.slice(1)}.jpg`)
      ids.push(id)
      await server.admin.json(`/assets/${id}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ dateTimeOriginal: '2020-01-31T23:30:00+01:00' }),
      })
    }
    await server.runJobs()
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.getByRole('heading', { name: 'January 2020' }).waitFor()
    await page.keyboard.press('Control+a')
    await page.getByText('2 selected').waitFor()
    await page.getByRole('button', { name: 'More actions' }).click()
    await page.getByRole('menuitem', { name: 'Change date' }).click()
    const dialog = page.getByRole('dialog', { name: 'Date of 2 items' })
    await dialog.getByLabel('Hours').fill('1')
    await dialog.getByText('Each is moved: 1 h later.').waitFor()
    await dialog.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { name: 'February 2020' }).waitFor()
    await tileOf(page, ids[0]!).waitFor()
    await page.getByRole('heading', { name: 'January 2020' }).waitFor({ state: 'detached' })
    for (const id of ids)
      assert.match((await server.admin.json<Asset>(`/assets/${id}`)).localDateTime, /^2020-02-01T00:30:00/)
    assert.deepEqual(takeProblems(), [])
  })
})
