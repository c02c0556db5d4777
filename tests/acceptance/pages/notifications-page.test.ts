/** The bell: what one was told, read when it is opened, and removed. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { alertMessage, ownPhotosMessage } from '../../../src/library/notifications/messages.ts'
import { NO_NOTIFICATIONS } from '../../../src/library/notifications/settings.ts'
import { tellAdmins } from '../../../src/library/notifications/tell.ts'
import { needsBrowser } from '../../support/page/browser.ts'
import { checkAccess, checkWidth } from '../../support/page/page-checks.ts'
import { pageSuite } from '../../support/page/page-suite.ts'
import { startTestServer } from '../../support/server.ts'

const { skip } = await needsBrowser()

describe('messages on the page', { skip, timeout: 300_000 }, () => {
  const suite = pageSuite()

  test('a message comes by itself, is read when the panel opens, and goes', async (t) => {
    const server = await startTestServer(t)
    const { page, takeProblems } = await suite.open(t, server.url)
    await page.goto('/storage')
    const bell = page.getByRole('button', { name: 'Messages', exact: true })
    await bell.click()
    const panel = page.getByRole('dialog', { name: 'Messages' })
    await panel.getByText('No messages.').waitFor()
    await page.keyboard.press('Escape')
    await panel.waitFor({ state: 'detached' })

    await tellAdmins(server.db, NO_NOTIFICATIONS, alertMessage('late-backup', 'opened', { days: 3 }))
    await page.getByRole('button', { name: 'Messages, 1 new one' }).waitFor()
    await tellAdmins(server.db, NO_NOTIFICATIONS, ownPhotosMessage('opened', 7, ['a.jpg', 'b.jpg']))
    await page.getByRole('button', { name: 'Messages, 2 new ones' }).click()
    await panel.getByText('No backup for 3 days').waitFor()
    await panel.getByText(/^The last good copy of a\.jpg, b\.jpg and 5 more was found/).waitFor()
    await bell.waitFor()
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [1280, 390]) {
        await page.emulateMedia({ colorScheme })
        await page.setViewportSize({ width, height: 844 })
        await page.keyboard.press('Escape')
        await bell.click()
        const { x, width: wide } = (await panel.boundingBox())!
        assert.ok(x >= 0 && x + wide <= width, `the panel is within ${width} px`)
        await checkWidth(page, `messages at ${width} px`)
        await checkAccess(page, `messages, ${colorScheme}, ${width} px`)
      }
    }
    await panel.getByRole('button', { name: 'Remove: No backup for 3 days' }).click()
    await panel.getByText('No backup for 3 days').waitFor({ state: 'detached' })
    await panel.getByRole('button', { name: 'Remove all' }).click()
    await panel.getByText('No messages.').waitFor()
    const { rows } = await server.pool.query('select from notification')
    assert.equal(rows.length, 0)
    assert.deepEqual(takeProblems(), [])
  })
})
