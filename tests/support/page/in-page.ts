/**
 * What tests run inside the page itself. The types below are the little of a browser that they touch: its
 * whole library of types would shadow Node's.
 */
import type { Locator, Page } from 'playwright-core'

type Element = {
  textContent: string | null
  clientWidth: number
  scrollWidth: number
  labels?: ArrayLike<Element> | null
  getAttribute(name: string): string | null
  querySelector(selector: string): Element | null
  tagName: string
  parentElement: Element | null
  getBoundingClientRect(): { right: number }
}
type Film = {
  muted: boolean
  currentTime: number
  videoWidth: number
  videoHeight: number
  play(): Promise<void>
  addEventListener(event: string, listener: (event: unknown) => void, options: { once: boolean }): void
}
type Picture = {
  src: string
  naturalWidth: number
  onload: (() => void) | null
  onerror: (() => void) | null
}
type Canvas = {
  width: number
  height: number
  getContext(kind: '2d'): {
    drawImage(image: unknown, x: number, y: number, width: number, height: number): void
    getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray }
  }
}
declare const document: {
  activeElement: Element | null
  body: Element
  documentElement: Element
  querySelector(selector: string): Element | null
  querySelectorAll(selector: string): Iterable<Element>
  createElement(name: 'canvas'): Canvas
  createElement(name: 'img'): Picture
  addEventListener(event: string, listener: (event: { effectiveDirective: string }) => void): void
  removeEventListener(event: string, listener: (event: { effectiveDirective: string }) => void): void
}
declare function getComputedStyle(element: Element): {
  outlineStyle: string
  backgroundColor: string
  overflowX: string
}

/** 12 x 8 pixels of what an image shows: red, green and blue of each, 0 to 255, one after another. */
export function readPixels(image: Locator): Promise<number[]> {
  return image.first().evaluate((element) => {
    const canvas = document.createElement('canvas')
    canvas.width = 12
    canvas.height = 8
    const context = canvas.getContext('2d')
    context.drawImage(element, 0, 0, 12, 8)
    return [...context.getImageData(0, 0, 12, 8).data].filter((_, index) => index % 4 !== 3)
  })
}

/**
 * Plays a while from the beginning, seeks, and plays on from there; times in seconds. Gives the size of the
 * picture.
 */
export function playAndSeek(
  video: Locator,
  to: number,
): Promise<{ width: number; height: number; reached: number }> {
  return video.evaluate(async (element, target) => {
    const film = element as unknown as Film
    const next = (event: string) =>
      new Promise((resolve) => film.addEventListener(event, resolve, { once: true }))
    film.muted = true
    await film.play()
    while (film.currentTime < 0.3) await next('timeupdate')
    const seeked = next('seeked')
    film.currentTime = target
    await seeked
    await film.play()
    while (film.currentTime < target + 0.2) await next('timeupdate')
    return { width: film.videoWidth, height: film.videoHeight, reached: film.currentTime }
  }, to)
}

/** What has the focus: how it is called, which photograph it is, and the style of the ring around it. */
export function readFocus(page: Page): Promise<{ label: string; assetId: string | null; ring: string }> {
  return page.evaluate(() => {
    const element = document.activeElement ?? document.body
    const words = element.labels?.[0]?.querySelector('span')?.textContent
    return {
      label: element.getAttribute('aria-label') ?? words ?? element.textContent?.trim() ?? '',
      assetId: element.getAttribute('data-id'),
      ring: getComputedStyle(element).outlineStyle,
    }
  })
}

/** The colour behind the page, as CSS writes it. */
export function readPaper(page: Page): Promise<string> {
  return page.evaluate(() => getComputedStyle(document.body).backgroundColor)
}

/**
 * Lets the page show a picture and fetch, each from an address; gives what its policy refused, by directive.
 */
export function refusedByPolicy(
  page: Page,
  addresses: { picture: string; fetched: string },
): Promise<string[]> {
  return page.evaluate(async ({ picture, fetched }) => {
    const refused: string[] = []
    let note = (_: { effectiveDirective: string }) => {}
    const isOver = new Promise<void>((resolve) => {
      note = ({ effectiveDirective }) => {
        if (refused.push(effectiveDirective) === 2) resolve()
      }
      setTimeout(resolve, 5_000)
    })
    document.addEventListener('securitypolicyviolation', note)
    await new Promise<void>((resolve) => {
      const image = document.createElement('img')
      image.onload = resolve
      image.onerror = resolve
      image.src = picture
    })
    await fetch(fetched).catch(() => undefined)
    // They are told after the requests have failed.
    await isOver
    document.removeEventListener('securitypolicyviolation', note)
    return refused
  }, addresses)
}

/** How many bytes the page's own script gets, and from where. */
export function fetchInPage(page: Page, path: string): Promise<{ bytes: number; url: string }> {
  return page.evaluate(async (address) => {
    const response = await fetch(address)
    return { bytes: (await response.arrayBuffer()).byteLength, url: response.url }
  }, path)
}

/** By how many pixels the page sticks out to the side, and what of it reaches farthest. */
export function readOverflow(page: Page): Promise<{ pixels: number; widest: string }> {
  return page.evaluate(() => {
    const main = document.querySelector('main')
    const widest = Math.max(document.documentElement.scrollWidth, main === null ? 0 : main.scrollWidth)
    const { clientWidth } = document.documentElement
    const isClipped = (element: Element): boolean =>
      element.parentElement !== null &&
      element.parentElement.tagName !== 'MAIN' &&
      (getComputedStyle(element.parentElement).overflowX !== 'visible' || isClipped(element.parentElement))
    const out = [...document.querySelectorAll('main *')].filter(
      (element) => element.getBoundingClientRect().right > clientWidth && !isClipped(element),
    )
    return {
      pixels: widest - clientWidth,
      widest: out
        .map((element) => `${element.tagName} ${element.textContent?.trim().slice(0, 60)}`)
        .join(' | '),
    }
  })
}
