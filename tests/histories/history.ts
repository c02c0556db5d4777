/**
 * One history: steps and faults that a seed chooses, with what must hold after each; then all is well again.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkListing } from '../../src/placement/listing/check-listing.ts'
import { scrubLocation } from '../../src/placement/scrub/scrub-location.ts'
import { adoptLocation } from '../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../src/placement/takeover/adoption.ts'
import { addFaults, endFaults } from './faults.ts'
import { checkInvariants, checkSettled } from './invariants.ts'
import { count, type Model, newModel } from './model.ts'
import { type Random, randomOf } from './random.ts'
import * as steps from './steps.ts'
import { openWorld, type World } from './world.ts'

const STEPS: readonly (readonly [name: string, weight: number, step: steps.Step])[] = [
  ['upload', 5, steps.upload],
  ['direct upload', 2, steps.uploadDirectly],
  ['upload again', 2, steps.uploadAgain],
  ['read', 4, steps.read],
  ['jobs', 9, steps.jobs],
  ['sweep', 3, steps.sweep],
  ['classes', 1, steps.changeClasses],
  ['check', 1, steps.check],
  ['list', 2, steps.list],
  ['scrub', 2, steps.scrub],
  ['backup', 1, steps.backUp],
  ['restart', 1, steps.restart],
  ['trash', 1, steps.trash],
  ['delete', 1, steps.deleteForGood],
  ['spoil', 4, steps.spoil],
]
const WEIGHTED = STEPS.flatMap((entry) => Array.from({ length: entry[1] }, () => entry))
const STEP_COUNT = 25
const PLACES = ['local', 's3', 'second']
/** Each time what the last one has begun goes on: a copy that is found bad goes, is made, and is proven. */
const MAX_ROUNDS = 10

export type History = { counts: Model['counts']; log: string[] }

/** @throws AssertionError, with what happened, where something did not hold */
export async function runHistory(seed: number): Promise<History> {
  const random = randomOf(seed)
  const model = newModel()
  const log: string[] = []
  const world = await openWorld()
  try {
    await begin(world, model, random)
    for (let index = 0; index < STEP_COUNT; index += 1) await runStep(world, model, random, log)
    for (const bucket of world.buckets) endFaults(bucket)
    await settle(world, model, log)
    return { counts: model.counts, log }
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}\n${log.join('\n')}`, { cause: error })
  } finally {
    await world.close()
  }
}

/** Three photos with both of their copies, so that there is something to spoil. */
async function begin(world: World, model: Model, random: Random): Promise<void> {
  await world.run('check-locations')
  for (let photo = 0; photo < 3; photo += 1) await steps.upload(world, model, random)
  await steps.jobs(world, model, random)
  await steps.jobs(world, model, random)
  await checkInvariants(world, model)
}

async function runStep(world: World, model: Model, random: Random, log: string[]): Promise<void> {
  const [name, , step] = random.pick(WEIGHTED)
  for (const bucket of world.buckets) {
    endFaults(bucket)
    if (random.isOne(2)) log.push(`  fault at ${addFaults(random, bucket).join('; ')}`)
  }
  log.push(`${name} ...`)
  const beganAt = performance.now()
  const did = await step(world, model, random)
  log[log.length - 1] = `${name}: ${did} (${Math.round(performance.now() - beganAt)} ms)`
  await checkInvariants(world, model)
}

async function settle(world: World, model: Model, log: string[]): Promise<void> {
  await sleep(600) // as long as a place is left alone after an outage
  for (let round = 1; ; round += 1) {
    const said: string[] = []
    await world.run('check-locations')
    await decideConflicts(world, model)
    for (const place of PLACES) {
      await checkListing(world.app.placement, place, { isNow: true })
      await scrubLocation(world.app.placement, place, { isUnlimited: true })
    }
    await endUploads(world)
    await steps.sweep(world, model, randomOf(0))
    await world.runJobs(said)
    await steps.notePending(world, model)
    await checkInvariants(world, model)
    log.push(`settling: ${said.join('. ')}`)
    try {
      return await checkSettled(world, model)
    } catch (error) {
      if (round === MAX_ROUNDS || !(error instanceof assert.AssertionError)) throw error
      log.push(`  not yet: ${error.message.split('\n')[0]}`)
    }
  }
}

/**
 * Where a place has lied more than once about its counter, nothing is written there until a person decides.
 */
async function decideConflicts(world: World, model: Model): Promise<void> {
  const { rows } = await world.database.pool.query<{ id: string }>(
    'select location_id as id from location_counter where conflict is not null',
  )
  for (const { id } of rows) {
    await beginAdoption(world.app.placement, id, 'history')
    await adoptLocation(world.app.placement, { locationId: id })
    count(model, 'adoptions')
  }
}

/** Nobody holds a URL any more: what was not confirmed is over. */
async function endUploads({ database }: World): Promise<void> {
  await database.pool.query(
    `update direct_upload set expires_at = now() - interval '1 minute' where state = 'open'`,
  )
  await database.pool.query(
    `update replica set writable_until = now() - interval '1 minute' where writable_until > now()`,
  )
  await database.pool.query(
    `update key_to_clear set writable_until = least(writable_until, now()), clear_at = now(), retry_at = null`,
  )
}
