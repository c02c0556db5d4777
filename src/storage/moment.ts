/**
 * How much time passed between two moments, however the machine slept. `performance.now()` stands still while
 * a machine is suspended (Linux: CLOCK_MONOTONIC); `os.uptime()` goes on (CLOCK_BOOTTIME), but stands still
 * with a virtual machine that is paused; the wall clock goes on then, and may be set.
 */
import { uptime } from 'node:os'

/** What three clocks show, in milliseconds; each counts from a start of its own. */
export type Moment = { steadyMs: number; bootMs: number; wallMs: number }
export type Clock = () => Moment

/** Reads /proc/uptime: 10 µs, to 10 ms. */
export const systemClock: Clock = () => ({
  steadyMs: performance.now(),
  bootMs: uptime() * 1_000,
  wallMs: Date.now(),
})

/** The moment so many milliseconds before. */
export function before({ steadyMs, bootMs, wallMs }: Moment, ms: number): Moment {
  return { steadyMs: steadyMs - ms, bootMs: bootMs - ms, wallMs: wallMs - ms }
}

/**
 * The most that can have passed, in milliseconds: for what is good for a limited time only. No clock that
 * stood still or was set back makes it less than what another one saw.
 */
export function longestBetween(then: Moment, now: Moment): number {
  return Math.max(now.steadyMs - then.steadyMs, now.bootMs - then.bootMs, now.wallMs - then.wallMs)
}
