/** The process that is killed. argv: the JSON of `VictimOrder`. */

import { silentLog } from '../../../src/log.ts'
import { openMediaTools } from '../../../src/media/processes/tools.ts'
import { failpoints, RUNTIME, type Target } from './failpoints/runtime.ts'
import { openManifest } from './manifest.ts'
import type { Given } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'
import { openSite, type SiteSetup } from './site.ts'

export type VictimOrder = {
  scenario: string
  setup: SiteSetup
  given: Given
  manifestPath: string
  /** Null: nobody is killed. */
  target: Target | null
  /** Where to write how often each step was begun; null: nowhere. */
  hitsPath: string | null
}

Object.assign(globalThis, { [RUNTIME]: failpoints })
const order = JSON.parse(process.argv[2] ?? '') as VictimOrder
const scenario = SCENARIOS.find(({ name }) => name === order.scenario)
if (scenario === undefined) throw new Error(`no scenario ${order.scenario}`)
const mediaTools = openMediaTools({ log: silentLog, threads: 1 })
const running = {
  setup: order.setup,
  given: order.given,
  manifest: openManifest(order.manifestPath),
  mediaTools,
}
try {
  if (scenario.runAlone) {
    failpoints.arm(order.target)
    await scenario.runAlone(running)
  }
  if (scenario.run) {
    const site = await openSite(order.setup)
    failpoints.arm(order.target)
    await scenario.run(site, running)
  }
} catch (error) {
  // With PostgreSQL gone it fails, which the parent is told.
  console.log(`failed: ${(error as Error).message}`)
}
failpoints.disarm()
if (order.hitsPath !== null) failpoints.saveHits(order.hitsPath)
await mediaTools.close()
process.exit(0)
