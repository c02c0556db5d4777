/**
 * Random commands of a user on two videos and three stills. What must hold after every step:
 *
 * - Nothing is purged that was acknowledged, or taken out of the trash, after it was last deleted.
 * - A still keeps its video until the user deletes that by its own id, for good.
 * - The video of a still that is not in the trash isn't either, unless it was put there by its own id.
 * - Nothing is forgotten: a hidden video has a still, and one whose stills were all deleted is in the trash.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { purgeExpiredTrash } from '../../src/library/assets/trash.ts'
import { sendJson, sendStill, someStill, someVideo } from '../support/http/live-photos.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const VIDEOS = ['v0', 'v1'] as const
const STILLS = ['s0', 's1', 's2'] as const
type Video = (typeof VIDEOS)[number]
type Still = (typeof STILLS)[number]
type Name = Video | Still

// Mostly the same, so that stills share it.
const video = fc.constantFrom<Video>('v0', 'v0', 'v0', 'v1')
const still = fc.constantFrom(...STILLS)
const some = fc.subarray<Name>([...STILLS, ...VIDEOS], { minLength: 1, maxLength: 3 })
const someStills = fc.subarray<Name>([...STILLS], { minLength: 1 })
const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send video' as const), video }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('send still' as const), still, video }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('link' as const), still, video }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('trash' as const), names: someStills }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trash' as const), names: some }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restore' as const), names: some }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore all' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete for good' as const), names: some }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('empty' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('expire' as const), names: some }) },
)
type Command = typeof command extends fc.Arbitrary<infer One> ? One : never

type Asset = { id: string; isTrashed: boolean; isHidden: boolean; video: Video | null }
type State = Map<Name, Asset>
type World = {
  server: TestServer
  bytes: Map<Name, Buffer>
  names: Map<string, Name>
  state: State
  /** Deleted since it was last acknowledged or taken out of the trash. */
  deleted: Set<Name>
  /** Put into the trash by its own id, and not out of it since. */
  deletedByName: Set<Name>
}

test('a still keeps its video, and nothing goes that was acknowledged since it was deleted', async (t) => {
  const server = await startTestServer(t)
  const counts = { steps: 0, purged: 0, sharedInTrash: 0, backInTime: 0, kept: 0 }
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 15, maxLength: 45, size: 'max' }), async (commands) => {
      const bytes = new Map<Name, Buffer>()
      for (const name of VIDEOS) bytes.set(name, someVideo())
      for (const name of STILLS) bytes.set(name, someStill())
      const [names, state] = [new Map<string, Name>(), new Map<Name, Asset>()]
      const world: World = { server, bytes, names, state, deleted: new Set(), deletedByName: new Set() }
      for (const step of commands) {
        const before = world.state
        noteDeletions(world, step)
        await run(world, step)
        world.state = await readState(world)
        checkStep(world, step, before)
        counts.steps += 1
        counts.purged += before.size - Math.min(before.size, world.state.size)
        count(world, step, before, counts)
      }
      await sendJson(server.admin, 'DELETE', '/assets', { ids: idsOf(world, [...bytes.keys()]), force: true })
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 60), endOnFailure: true },
  )
  // A model in which nothing happens proves nothing.
  assert.ok(counts.purged > 30, JSON.stringify(counts))
  assert.ok(counts.sharedInTrash > 10, JSON.stringify(counts))
  assert.ok(counts.backInTime > 10, JSON.stringify(counts))
  assert.ok(counts.kept > 5, JSON.stringify(counts))
})

const idsOf = ({ state }: World, names: readonly Name[]) => names.flatMap((name) => state.get(name)?.id ?? [])

/** It is wanted, and its video where that comes with it. */
function want({ state, deleted }: World, name: Name): void {
  deleted.delete(name)
  const { isTrashed, video } = state.get(name) ?? { isTrashed: false, video: null }
  if (isTrashed && video !== null) deleted.delete(video)
}

/** What the user gives up: what is named, and the videos of stills that were not in the trash before. */
function noteDeletions({ state, deleted, deletedByName }: World, step: Command): void {
  if (step.do !== 'trash' && step.do !== 'delete for good') return
  for (const name of step.names) {
    const asset = state.get(name)
    if (!asset) continue
    deleted.add(name)
    deletedByName.add(name)
    if (!asset.isTrashed && asset.video !== null) deleted.add(asset.video)
  }
}

async function run(world: World, step: Command): Promise<void> {
  const { server, bytes, names, state } = world
  const { admin, db, pool } = server
  const ok = async (answer: Promise<Response>) => assert.ok((await answer).ok)
  switch (step.do) {
    case 'send video': {
      const { id } = await admin.upload(bytes.get(step.video)!, 'IMG_1.mov')
      names.set(id, step.video)
      want(world, step.video)
      return
    }
    case 'send still': {
      const videoId = state.get(step.video)?.id ?? null
      const { id, status } = await sendStill(admin, bytes.get(step.still)!, videoId)
      assert.equal(status, state.has(step.still) ? 'duplicate' : 'created')
      names.set(id, step.still)
      want(world, step.still)
      if (status === 'created') world.deleted.delete(step.video)
      return
    }
    case 'link': {
      const [id, videoId] = [state.get(step.still)?.id, state.get(step.video)?.id]
      if (id === undefined || videoId === undefined) return
      await ok(sendJson(admin, 'PUT', `/assets/${id}`, { livePhotoVideoId: videoId }))
      // The one that it had is a thing of its own then, or another still's, as before.
      const had = state.get(step.still)!.video
      if (had !== null && !state.get(had)!.isTrashed) world.deleted.delete(had)
      world.deleted.delete(step.video)
      return
    }
    case 'trash':
      return ok(sendJson(admin, 'DELETE', '/assets', { ids: idsOf(world, step.names) }))
    case 'delete for good':
      return ok(sendJson(admin, 'DELETE', '/assets', { ids: idsOf(world, step.names), force: true }))
    case 'restore': {
      await ok(sendJson(admin, 'POST', '/trash/restore/assets', { ids: idsOf(world, step.names) }))
      for (const name of step.names) want(world, name)
      return
    }
    case 'restore all': {
      await ok(sendJson(admin, 'POST', '/trash/restore'))
      for (const [name, { isTrashed }] of state) if (isTrashed) world.deleted.delete(name)
      return
    }
    case 'empty':
      return ok(sendJson(admin, 'POST', '/trash/empty'))
    case 'expire': {
      await pool.query(
        `update asset set deleted_at = now() - interval '31 days' where deleted_at is not null and id = any($1)`,
        [idsOf(world, step.names)],
      )
      await purgeExpiredTrash(db)
    }
  }
}

async function readState({ server, names }: World): Promise<State> {
  const rows = await server.db
    .selectFrom('asset')
    .select(['id', 'deleted_at', 'visibility', 'live_photo_video_id'])
    .execute()
  const state: State = new Map()
  for (const row of rows) {
    const video = row.live_photo_video_id === null ? null : (names.get(row.live_photo_video_id) as Video)
    const isHidden = row.visibility === 'hidden'
    state.set(names.get(row.id)!, { id: row.id, isTrashed: row.deleted_at !== null, isHidden, video })
  }
  return state
}

/** A still that comes again with a video gets it where it has none and its user has not taken it away. */
function isFirstLinkOf(step: Command, name: Name, { video }: Asset, had: Video | null): boolean {
  return step.do === 'send still' && step.still === name && had === null && video === step.video
}

function checkStep({ state, deleted, deletedByName }: World, step: Command, before: State): void {
  if (step.do === 'send still' && state.get(step.still)?.video === step.video) deleted.delete(step.video)
  for (const [name, { video: had }] of before) {
    const asset = state.get(name)
    if (asset === undefined) {
      assert.ok(deleted.has(name), `${name} is purged by "${step.do}", and was not deleted`)
      deletedByName.delete(name)
      continue
    }
    if (!asset.isTrashed) deletedByName.delete(name)
    const isOverruled =
      step.do === 'link' ||
      isFirstLinkOf(step, name, asset, had) ||
      (step.do === 'delete for good' && had !== null && step.names.includes(had))
    if (!isOverruled) assert.equal(asset.video, had, `${name} has lost its video by "${step.do}"`)
  }
  for (const [name, { isTrashed, video }] of state) {
    if (isTrashed || video === null) continue
    const isVideoTrashed = state.get(video)!.isTrashed
    assert.ok(!isVideoTrashed || deletedByName.has(video), `${video} of ${name} is in the trash`)
  }
  for (const name of VIDEOS) {
    const asset = state.get(name)
    if (asset === undefined) continue
    const users = [...state.values()].filter(({ video }) => video === name)
    assert.ok(!asset.isHidden || users.length > 0, `${name} is hidden, and no still has it`)
    if (deleted.has(name) && users.every(({ isTrashed }) => isTrashed))
      assert.ok(asset.isTrashed, `${name} is not in the trash, and all its stills are`)
  }
}

/** That what is dangerous has been tried. */
function count(
  { state, deleted }: World,
  step: Command,
  before: State,
  counts: { sharedInTrash: number; backInTime: number; kept: number },
): void {
  const trashed = [...before.values()].filter(({ isTrashed, video }) => isTrashed && video !== null)
  if (trashed.length > new Set(trashed.map(({ video }) => video)).size) counts.sharedInTrash += 1
  const isPurge = step.do === 'empty' || step.do === 'expire' || step.do === 'delete for good'
  for (const name of VIDEOS) {
    const [was, is] = [before.get(name), state.get(name)]
    const users = [...before.values()].filter(({ video }) => video === name)
    if (was?.isTrashed && is && !is.isTrashed && users.some(({ isTrashed }) => isTrashed))
      counts.backInTime += 1
    // Left by a still that went.
    if (isPurge && is && !deleted.has(name) && users.some(({ isTrashed }) => isTrashed)) counts.kept += 1
  }
}
