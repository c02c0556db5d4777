/**
 * A server in a process of its own, which may be attacked: says its address and its routes, and when asked
 * how much memory it holds and how long it was away from its event loop, in time of the processor, which
 * other processes on the machine do not change.
 */
import type { TestContext } from 'node:test'
import { startTestServer } from '../../support/server.ts'

const SAMPLE_MS = 10

const ends: (() => unknown)[] = []
const server = await startTestServer({
  after: (end: () => unknown) => ends.push(end),
} as unknown as TestContext)

let longestStallMs = 0
let last = process.threadCpuUsage()
setInterval(() => {
  const used = process.threadCpuUsage(last)
  // What ran since the last sample: at most one stretch longer than the interval.
  longestStallMs = Math.max(longestStallMs, (used.user + used.system) / 1_000 - SAMPLE_MS)
  last = process.threadCpuUsage()
}, SAMPLE_MS)

process.on('message', async (question: 'facts' | 'collect' | 'end') => {
  if (question === 'end') {
    for (const end of ends) await end()
    process.exit(0)
  }
  // Garbage is not held.
  if (question === 'collect') globalThis.gc!()
  process.send!({
    rssBytes: process.memoryUsage.rss(),
    // Kilobytes.
    peakBytes: process.resourceUsage().maxRSS * 1_024,
    longestStallMs,
  })
  longestStallMs = 0
})
process.send!({ url: server.url, token: server.admin.token, routes: server.app.statedRoutes })
