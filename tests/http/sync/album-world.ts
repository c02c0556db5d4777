/** What the tests of albums in the sync stream do over HTTP. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { startTestServer } from '../../support/server.ts'
import { type Line, post, sync } from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

export async function startAlbumWorld(t: TestContext) {
  const server = await startTestServer(t)
  let count = 0
  const newUser = () => server.newUser(`user${count++}`)
  type User = Awaited<ReturnType<typeof newUser>>
  const change = async (user: User, path: string, body: unknown, method: string) => {
    const response = await post(user, path, body, method)
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`)
    return response
  }
  return {
    server,
    newUser,
    asset: (owner: User, ...more: [Parameters<typeof addAsset>[2]?, Parameters<typeof addAsset>[3]?]) =>
      addAsset(server.db, owner.userId, ...more),
    async album(owner: User, assetIds: string[] = []): Promise<string> {
      const response = await change(owner, '/albums', { albumName: 'album', assetIds }, 'POST')
      return ((await response.json()) as { id: string }).id
    },
    share: (owner: User, albumId: string, user: User, role = 'editor') =>
      change(owner, `/albums/${albumId}/users`, { albumUsers: [{ userId: user.userId, role }] }, 'PUT'),
    setRole: (owner: User, albumId: string, user: User, role: string) =>
      change(owner, `/albums/${albumId}/user/${user.userId}`, { role }, 'PUT'),
    unshare: (owner: User, albumId: string, user: User) =>
      change(owner, `/albums/${albumId}/user/${user.userId}`, {}, 'DELETE'),
    add: (user: User, albumId: string, ...ids: string[]) =>
      change(user, `/albums/${albumId}/assets`, { ids }, 'PUT'),
    take: (user: User, albumId: string, ...ids: string[]) =>
      change(user, `/albums/${albumId}/assets`, { ids }, 'DELETE'),
    deleteAlbum: (user: User, albumId: string) => change(user, `/albums/${albumId}`, {}, 'DELETE'),
    purge: (user: User, ...ids: string[]) => change(user, '/assets', { ids, force: true }, 'DELETE'),
    update: (user: User, id: string, body: object) => change(user, `/assets/${id}`, body, 'PUT'),
    /** `type id`, where an id tells the lines of a type apart; `SyncAckV1 type` for what it acknowledges. */
    async summary(user: User, ...types: string[]): Promise<{ lines: Line[]; told: string[] }> {
      const lines = await sync(user, ...types)
      const told = lines.map(({ type, data, ack }) =>
        type === 'SyncAckV1'
          ? `${type} ${ack.split('|')[0]}`
          : `${type} ${data.assetId ?? data.userId ?? data.id ?? data.albumId}`,
      )
      return { lines, told }
    },
  }
}
