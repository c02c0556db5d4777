/** Three users, a phone for each, and what they do. */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import { addAsset } from '../../http/routes/asset-rows.ts'
import { type Client, connectClient } from '../client.ts'
import { createTestUser } from '../http/users.ts'
import type { TestServer } from '../server.ts'
import { takePeopleStep } from './people-steps.ts'
import { openPhone, type Phone } from './phone.ts'
import { post } from './sync-client.ts'

export const STEPS = [
  ...['upload', 'upload', 'trash', 'restore', 'purge', 'purge', 'edit', 'describe', 'hide', 'process'],
  ...[
    'makeAlbum',
    'addToAlbum',
    'addToAlbum',
    'addToAlbum',
    'takeFromAlbum',
    'share',
    'share',
    'share',
    'share',
  ],
  ...[
    'unshare',
    'unshare',
    'setRole',
    'renameAlbum',
    'setCover',
    'deleteAlbum',
    'setPreference',
    'replaceUser',
  ],
  ...[
    'share',
    'shareTimeline',
    'shareTimeline',
    'hideTimeline',
    'showTimeline',
    'stack',
    'stack',
    'changeStack',
  ],
  ...['unstack', 'makeMemory', 'makeMemory', 'fillMemory', 'emptyMemory', 'changeMemory', 'keepCloudId'],
  ...['requireReset', 'beginLate', 'beginLate', 'endLate', 'sync', 'sync', 'sync', 'sync', 'cutSync'],
] as const
/** What each of the users does first. */
const BEGINNING = ['upload', 'makeAlbum', 'shareTimeline', 'stack', 'makeMemory', 'sync'] as const
export type Step = {
  act: (typeof STEPS)[number]
  who: number
  other: number
  what: number
  which: number
  server: number
}

export type Member = { userId: string; clients: Client[]; phone: Phone }
export type World = { server: TestServer; members: Member[]; albums: string[] }
type Compare = (world: World, member: Member) => Promise<void>

const PASSWORD = 'a long password'
let count = 0

async function newMember(server: TestServer, urls: readonly string[]): Promise<Member> {
  const email = `h${count++}@example.org`
  const { id: userId } = await createTestUser(server.db, { email, name: email, password: PASSWORD })
  const first = await connectClient(urls[0]!, { email, password: PASSWORD })
  // One session, whichever process is asked.
  const clients = urls.map(
    (url): Client => ({
      ...first,
      url,
      call: (path, init = {}) =>
        fetch(`${url}/api${path}`, {
          ...init,
          headers: { authorization: `Bearer ${first.token}`, ...init.headers },
        }),
    }),
  )
  return { userId, clients, phone: openPhone() }
}

/** Runs the steps; each whole sync, and the last ones, are compared. */
export async function runHistory(
  { server, urls }: { server: TestServer; urls: readonly string[] },
  steps: readonly Step[],
  compare: Compare,
): Promise<void> {
  const members = await Promise.all([0, 1, 2].map(() => newMember(server, urls)))
  const world: World = { server, members, albums: [] }
  const late: { client: pg.PoolClient | null } = { client: null }
  try {
    for (const [who] of members.entries())
      for (const act of BEGINNING)
        for (const what of act === 'upload' ? [2 * who, 2 * who + 1] : [0])
          await run(world, urls, late, { act, who, other: (who + 1) % 3, what, which: 2, server: 0 }, compare)
    for (const step of steps) await run(world, urls, late, step, compare)
    await endLate(late)
    for (const member of members) {
      for (let round = 0; round < 2; round++) await member.phone.sync(member.clients[round]!)
      await compare(world, member)
    }
  } finally {
    await endLate(late)
    for (const { phone } of members) phone.close()
  }
}

async function endLate(late: { client: pg.PoolClient | null }): Promise<void> {
  await late.client?.query('commit')
  late.client?.release()
  late.client = null
}

/** Of what is done with an album: who may. */
async function actorOf(
  { server, members }: World,
  act: Step['act'],
  albumId: string | undefined,
  which: number,
): Promise<Member | undefined> {
  if (albumId === undefined || !/lbum|share|setRole|setCover/.test(act) || act === 'makeAlbum')
    return undefined
  const { rows } = await server.pool.query<{ user_id: string }>(
    `select user_id from album_user where album_id = $1 and role <> 'viewer' order by role = 'owner' desc, user_id`,
    [albumId],
  )
  const actor = rows[act === 'addToAlbum' ? which % (rows.length || 1) : 0]
  return members.find(({ userId }) => userId === actor?.user_id)
}

async function run(
  world: World,
  urls: readonly string[],
  late: { client: pg.PoolClient | null },
  { act, who, other, what, which, server: at }: Step,
  compare: Compare,
): Promise<void> {
  const { server, members, albums } = world
  const albumId = albums[what % (albums.length || 1)]
  const member = (await actorOf(world, act, albumId, which)) ?? members[who]!
  const client = member.clients[at]!
  const peer = members[other]!
  // What a transaction that is under way has locked would be waited for.
  const changes = ![
    'sync',
    'cutSync',
    'upload',
    'makeAlbum',
    'endLate',
    'beginLate',
    'requireReset',
  ].includes(act)
  if (changes) await endLate(late)
  const assetIds = async () => {
    const { rows } = await server.pool.query<{ id: string }>(
      'select id from asset where owner_id = $1 order by created_at, id offset $2 limit $3',
      [member.userId, what % 4, Math.max(1, which)],
    )
    return rows.map(({ id }) => id)
  }
  // What people may not do is refused, and changes nothing.
  const ask = async (path: string, body: unknown, method = 'PUT') => {
    const response = await post(client, path, body, method)
    if (response.status >= 500) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response
  }
  switch (act) {
    case 'upload': {
      const checksum = createHash('sha1').update(`${what}`).digest()
      const { rowCount } = await server.pool.query(
        'select from asset where owner_id = $1 and checksum = $2',
        [member.userId, checksum],
      )
      if (rowCount === 0) await addAsset(server.db, member.userId, { checksum, is_favorite: which === 1 })
      return
    }
    case 'trash':
      await ask('/assets', { ids: await assetIds() }, 'DELETE')
      return
    case 'restore':
      await ask('/trash/restore/assets', { ids: await assetIds() }, 'POST')
      return
    case 'purge':
      await ask('/assets', { ids: await assetIds(), force: true }, 'DELETE')
      return
    case 'edit':
      await ask('/assets', { ids: await assetIds(), isFavorite: which === 1, rating: (what % 5) + 1 })
      return
    case 'describe':
      for (const id of await assetIds()) await ask(`/assets/${id}`, { description: `d${what}` })
      return
    case 'hide':
      await ask('/assets', {
        ids: await assetIds(),
        visibility: ['timeline', 'archive', 'locked', 'timeline'][which],
      })
      return
    case 'process':
      for (const id of await assetIds()) {
        await server.pool.query('update asset set width = $2, processing = $3 where id = $1', [
          id,
          100 + what,
          'done',
        ])
        if (which === 0) await server.pool.query('delete from asset_exif where asset_id = $1', [id])
        await server.pool.query(
          'insert into asset_exif (asset_id, make) values ($1, $2) on conflict (asset_id) do update set make = excluded.make',
          [id, `make ${what}`],
        )
      }
      return
    case 'makeAlbum': {
      const response = await ask('/albums', { albumName: `a${what}`, assetIds: await assetIds() }, 'POST')
      albums.push(((await response.json()) as { id: string }).id)
      return
    }
    case 'replaceUser': {
      if (who === 0) return
      await post(server.admin, `/admin/users/${member.userId}`, { force: true }, 'DELETE')
      await server.runJobs()
      member.phone.close()
      members[who] = await newMember(server, urls)
      return
    }
    case 'setPreference':
      await ask('/users/me/preferences', { memories: { enabled: which === 1 } })
      await ask('/users/me/onboarding', { isOnboarded: true }, which === 0 ? 'DELETE' : 'PUT')
      await ask('/users/me', { name: `n${what}` })
      return
    case 'requireReset':
      if (what < 3) await server.pool.query('delete from sync_session')
      return
    case 'beginLate': {
      if (late.client !== null) return
      late.client = await server.pool.connect()
      await late.client.query('begin')
      const ids = await assetIds()
      await late.client.query('update asset set is_favorite = not is_favorite where id = any($1)', [ids])
      return
    }
    case 'endLate':
      return endLate(late)
    case 'sync':
      await member.phone.sync(client)
      return compare(world, member)
    case 'cutSync':
      await member.phone.sync(client, { cutAfter: what })
      return
  }
  await takePeopleStep(
    { pool: server.pool, ask, userId: member.userId, peerId: peer.userId, assetIds },
    { act, what, which },
  )
  if (albumId === undefined) return
  switch (act) {
    case 'addToAlbum':
      await ask(`/albums/${albumId}/assets`, { ids: await assetIds() })
      return
    case 'takeFromAlbum':
      await ask(`/albums/${albumId}/assets`, { ids: await assetIds() }, 'DELETE')
      return
    case 'share':
      await ask(`/albums/${albumId}/users`, {
        albumUsers: [{ userId: peer.userId, role: which === 0 ? 'viewer' : 'editor' }],
      })
      return
    case 'unshare':
      await ask(`/albums/${albumId}/user/${peer.userId}`, {}, 'DELETE')
      return
    case 'setRole':
      await ask(`/albums/${albumId}/user/${peer.userId}`, { role: which === 0 ? 'viewer' : 'editor' })
      return
    case 'renameAlbum':
      await ask(`/albums/${albumId}`, { albumName: `r${what}`, order: which === 0 ? 'asc' : 'desc' }, 'PATCH')
      return
    case 'setCover':
      for (const id of await assetIds())
        await ask(`/albums/${albumId}`, { albumThumbnailAssetId: id }, 'PATCH')
      return
    case 'deleteAlbum':
      await ask(`/albums/${albumId}`, {}, 'DELETE')
      return
  }
}
