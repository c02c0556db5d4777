/** What the tests of partners, stacks and memories in the sync stream do over HTTP. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Client } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'
import { type Line, post } from '../../support/sync/sync-client.ts'
import { addAsset } from '../routes/asset-rows.ts'

export type User = Client & { userId: string }

export async function startPartnerWorld(t: TestContext) {
  const server = await startTestServer(t)
  let count = 0
  const change = async (user: Client, path: string, body: unknown, method: string) => {
    const response = await post(user, path, body, method)
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`)
    return response
  }
  const make = async (user: Client, path: string, body: unknown): Promise<string> =>
    ((await (await change(user, path, body, 'POST')).json()) as { id: string }).id
  const asset = (owner: User, ...more: [Parameters<typeof addAsset>[2]?, Parameters<typeof addAsset>[3]?]) =>
    addAsset(server.db, owner.userId, ...more)
  return {
    server,
    change,
    make,
    asset,
    newUser: (): Promise<User> => server.newUser(`user${count++}`),
    share: (by: User, to: User) => change(by, '/partners', { sharedWithId: to.userId }, 'POST'),
    unshare: (by: User, to: User) => change(by, `/partners/${to.userId}`, {}, 'DELETE'),
    purge: (user: User, ...ids: string[]) => change(user, '/assets', { ids, force: true }, 'DELETE'),
    async stack(owner: User, ...assetIds: string[]): Promise<string> {
      const ids = assetIds.length > 0 ? assetIds : [await asset(owner), await asset(owner)]
      return make(owner, '/stacks', { assetIds: ids })
    },
    deleteStack: (owner: User, id: string) => change(owner, `/stacks/${id}`, {}, 'DELETE'),
    async removeForGood(user: User) {
      await change(server.admin, `/admin/users/${user.userId}`, { force: true }, 'DELETE')
      await server.runJobs()
    },
  }
}

/** `type id`, where an id tells the lines of a type apart; `SyncAckV1 type` for what it acknowledges. */
export function told(lines: readonly Line[]): string[] {
  return lines.map(({ type, data, ack }) =>
    type === 'SyncAckV1'
      ? `${type} ${ack.split('|')[0]}`
      : `${type} ${data.assetId ?? data.stackId ?? data.id}`,
  )
}
