/** First the quick tries, which bridge a hiccup; then a back-off that doubles from 5 s and ends at 6 h. */
export type BackOff = { quickTries: number; quickDelayMs: number }

const FIRST_DELAY_MS = 5_000
export const LONGEST_DELAY_MS = 6 * 3_600_000

/**
 * Milliseconds from the failure of attempt `attempt` (1 is the first) to the next one. `spread`, 0 to 1,
 * moves it by up to 20 % either way: a thousand jobs that failed together must not come back together.
 */
export function backOffMs(attempt: number, rule: BackOff, spread: number = Math.random()): number {
  const slowTry = attempt - rule.quickTries
  const delayMs =
    slowTry <= 0
      ? rule.quickDelayMs
      : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(slowTry - 1, 30))
  return Math.round(Math.min(LONGEST_DELAY_MS, delayMs * (0.8 + 0.4 * spread)))
}
