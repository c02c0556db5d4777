/**
 * When the viewer's controls are seen. Under a mouse they fade while nothing moves; a finger rests on
 * nothing, so there is no moving to wait for: a tap shows and hides them. A finger that stays holds
 * something.
 */
const QUIET_MS = 3500
const HOLD_MS = 350
/** A finger that goes farther swipes, or drags what is zoomed. */
const TAP_PX = 10

/** What a finger that stays does, where there is something to do. */
type Hold = { isPossible: () => boolean; begin: () => void; end: () => void }

export class ViewerControls {
  isQuiet = $state(false)
  isTouched = $state(matchMedia('(hover: none)').matches)
  readonly #hold: Hold
  #isHeld = false
  /** A tap is told by where it began: a button that it reveals must not take it. */
  #tap: { x: number; y: number } | null = null
  /** The controls came with this tap, whose click is still to come. */
  #hasRevealed = false
  #quietTimer: ReturnType<typeof setTimeout> | undefined
  #holdTimer: ReturnType<typeof setTimeout> | undefined

  constructor(hold: Hold) {
    this.#hold = hold
  }

  stir = (): void => {
    this.isQuiet = false
    clearTimeout(this.#quietTimer)
    if (!this.isTouched) this.#quietTimer = setTimeout(() => (this.isQuiet = true), QUIET_MS)
  }

  mousemove = ({ pointerType, movementX, movementY }: PointerEvent): void => {
    // Browsers send some by themselves, when something else lies under the pointer or was touched: without
    // movement, or where nothing can hover. The controls would come back under the next touch.
    if (pointerType !== 'mouse' || nothingHovers() || (movementX === 0 && movementY === 0)) return
    this.isTouched = false
    this.stir()
  }

  down = ({ pointerType, target, clientX: x, clientY: y }: PointerEvent): void => {
    if (pointerType === 'mouse') return
    this.isTouched = true
    this.#hasRevealed = false
    clearTimeout(this.#quietTimer)
    const isControl =
      target instanceof Element && target.closest('.controls, .notice a, .notice button') !== null
    this.#tap = isControl ? null : { x, y }
    if (isControl || !this.#hold.isPossible()) return
    this.#holdTimer = setTimeout(() => {
      this.#isHeld = true
      this.#hold.begin()
    }, HOLD_MS)
  }

  move = (event: PointerEvent): void => {
    if (this.#tap !== null && distance(this.#tap, event) >= TAP_PX) this.#endHold()
  }

  /** A double tap is two taps: it zooms, and leaves the controls as they were. */
  up = (event: PointerEvent): void => {
    const began = this.#tap
    this.#tap = null
    const wasHeld = this.#endHold()
    if (began === null || wasHeld || event.pointerType === 'mouse') return
    if (distance(began, event) >= TAP_PX) return
    this.isQuiet = !this.isQuiet
    this.#hasRevealed = !this.isQuiet
  }

  /**
   * A browser that is busy looks only after the finger has gone what lies under it, and gives the click to
   * the button that has just appeared: nobody has touched that.
   */
  click = (event: MouseEvent): void => {
    const isTheTaps = this.#hasRevealed
    this.#hasRevealed = false
    if (!isTheTaps || !(event.target instanceof Element) || event.target.closest('.controls') === null) return
    event.preventDefault()
    event.stopPropagation()
  }

  cancel = (): void => {
    this.#tap = null
    this.#endHold()
  }

  /** The browser's own menu for a finger that stays. */
  contextmenu = (event: MouseEvent): void => {
    if (this.isTouched && this.#hold.isPossible()) event.preventDefault()
  }

  #endHold(): boolean {
    clearTimeout(this.#holdTimer)
    const wasHeld = this.#isHeld
    this.#isHeld = false
    if (wasHeld) this.#hold.end()
    return wasHeld
  }

  /** The viewer is closed. */
  stop(): void {
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#holdTimer)
  }
}

const nothingHovers = () => matchMedia('(any-hover: none)').matches

function distance(from: { x: number; y: number }, { clientX, clientY }: PointerEvent): number {
  return Math.hypot(clientX - from.x, clientY - from.y)
}
