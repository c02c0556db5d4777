/** What tests of the page ask of a screen, and how they find and wait for things on it. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { AxeBuilder } from '@axe-core/playwright'
import type { Locator, Page } from 'playwright-core'
import { readFocus, readOverflow } from './in-page.ts'

const CHANGE_LIMIT_MS = 30_000

/** Waits until an attribute reads so; the element may be another one by then. */
export async function expectAttribute(element: Locator, name: string, pattern: RegExp): Promise<void> {
  const deadline = Date.now() + CHANGE_LIMIT_MS
  for (;;) {
    const value = await element.getAttribute(name)
    if (pattern.test(value ?? '')) return
    if (Date.now() > deadline) assert.fail(`${name} stays ${JSON.stringify(value)}, not ${pattern}`)
    await sleep(50)
  }
}

/** Waits until an element has this width / height; rows are whole pixels high, so 3 % is exact. */
export async function expectRatio(element: Locator, ratio: number): Promise<void> {
  const deadline = Date.now() + CHANGE_LIMIT_MS
  for (;;) {
    const { width, height } = (await element.boundingBox())!
    if (Math.abs(width / height / ratio - 1) < 0.03) return
    if (Date.now() > deadline) assert.fail(`it is drawn as ${width} x ${height}, not ${ratio}`)
    await sleep(50)
  }
}

/** Waits until that photograph has the focus. */
export async function expectFocus(
  page: Page,
  isIt: (assetId: string | null) => boolean,
): Promise<string | null> {
  const deadline = Date.now() + CHANGE_LIMIT_MS
  for (;;) {
    const { assetId, label } = await readFocus(page)
    if (isIt(assetId)) return assetId
    if (Date.now() > deadline) assert.fail(`the focus stays at ${label}`)
    await sleep(50)
  }
}

/** Presses Tab until something has the focus that is called so; gives the name. */
export async function tabTo(page: Page, isIt: (label: string) => boolean): Promise<string> {
  const seen: string[] = []
  for (let presses = 0; presses < 25; presses++) {
    await page.keyboard.press('Tab')
    const { label } = await readFocus(page)
    if (isIt(label)) return label
    seen.push(label)
  }
  assert.fail(`Tab leads only to: ${seen.join(' | ')}`)
}

/**
 * No violation of what axe checks, whatever it calls it. The page has no frame, so it needs no second page in
 * which the findings of frames are put together ("legacy mode"), and nobody reads what passed: both would
 * double the time.
 */
export async function checkAccess(page: Page, where: string): Promise<void> {
  assert.equal(page.frames().length, 1, 'a frame would not be looked into')
  const { violations } = await new AxeBuilder({ page })
    .setLegacyMode(true)
    .options({ resultTypes: ['violations'] })
    .analyze()
  const found = violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `  ${html}\n  ${failureSummary}`).join('\n')}`,
  )
  assert.deepEqual(found, [], `on the ${where}`)
}

/** Nothing sticks out to the side, so that a phone never scrolls there. */
export async function checkWidth(page: Page, where: string): Promise<void> {
  const { pixels, widest } = await readOverflow(page)
  assert.ok(pixels <= 0, `the ${where} sticks out by ${pixels} px: ${widest}`)
}
