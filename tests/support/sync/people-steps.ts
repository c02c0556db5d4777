/** What the users of a history do with partners, stacks, memories and the metadata of assets. */
import type pg from 'pg'
import type { Step } from './phone-world.ts'

type Scene = {
  pool: pg.Pool
  userId: string
  peerId: string
  ask(path: string, body: unknown, method?: string): Promise<Response>
  /** Some of the user's own. */
  assetIds(): Promise<string[]>
}

/** Other steps do nothing here. */
export async function takePeopleStep(
  { pool, userId, peerId, ask, assetIds }: Scene,
  { act, what, which }: Pick<Step, 'act' | 'what' | 'which'>,
): Promise<void> {
  const idsOf = async (statement: string, ...values: unknown[]): Promise<string[]> =>
    (await pool.query<{ id: string }>(statement, [userId, ...values])).rows.map(({ id }) => id)
  const ownStack = () =>
    idsOf('select id from stack where owner_id = $1 order by created_at, id offset $2 limit 1', what % 2)
  const ownMemory = () =>
    idsOf('select id from memory where owner_id = $1 order by created_at, id offset $2 limit 1', what % 2)
  /** Those of partners, too. */
  const seenAssets = () =>
    idsOf(
      `select id from asset where owner_id = $1
         or owner_id in (select shared_by_id from partner where shared_with_id = $1)
       order by created_at desc, id offset $2 limit $3`,
      what,
      which + 1,
    )
  switch (act) {
    case 'shareTimeline':
      await ask('/partners', { sharedWithId: peerId }, 'POST')
      return
    case 'hideTimeline':
      await ask(`/partners/${peerId}`, {}, 'DELETE')
      return
    case 'showTimeline':
      await ask(`/partners/${peerId}`, { inTimeline: which > 0 })
      return
    case 'stack':
      await ask('/stacks', { assetIds: await assetIds() }, 'POST')
      return
    case 'changeStack':
      for (const id of await ownStack()) {
        const [assetId] = await idsOf(
          'select id from asset where owner_id = $1 and stack_id = $2 order by id',
          id,
        )
        if (which === 0) await ask(`/stacks/${id}/assets/${assetId}`, {}, 'DELETE')
        else await ask(`/stacks/${id}`, { primaryAssetId: assetId })
      }
      return
    case 'unstack':
      for (const id of await ownStack()) await ask(`/stacks/${id}`, {}, 'DELETE')
      return
    case 'makeMemory':
      await ask(
        '/memories',
        {
          type: 'on_this_day',
          data: { year: 2000 + what },
          memoryAt: '2020-12-01T00:00:00.000Z',
          assetIds: await seenAssets(),
        },
        'POST',
      )
      return
    case 'fillMemory':
      for (const id of await ownMemory()) await ask(`/memories/${id}/assets`, { ids: await seenAssets() })
      return
    case 'emptyMemory':
      for (const id of await ownMemory())
        await ask(`/memories/${id}/assets`, { ids: await seenAssets() }, 'DELETE')
      return
    case 'changeMemory':
      for (const id of await ownMemory()) {
        if (which === 0) await ask(`/memories/${id}`, {}, 'DELETE')
        else await ask(`/memories/${id}`, { isSaved: which === 1, seenAt: '2026-12-01T10:00:00.000Z' })
      }
      return
    case 'keepCloudId':
      for (const id of await assetIds()) {
        if (which === 0) await ask(`/assets/${id}/metadata/mobile-app`, {}, 'DELETE')
        else
          await ask(`/assets/${id}/metadata`, {
            items: [
              { key: 'mobile-app', value: { iCloudId: `i${what}`, latitude: which === 1 ? null : '48.2' } },
              { key: 'another', value: { iCloudId: null } },
            ],
          })
      }
  }
}
