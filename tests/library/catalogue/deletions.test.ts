/** Deletions that somebody took back after the backup, and users who were deleted in the catalogue. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { restartTrashTime } from '../../../src/library/assets/trash.ts'
import type { UserEntry } from '../../../src/library/catalogue/entries.ts'
import { restartDeleteDelay } from '../../../src/library/users/deletion.ts'
import { entriesOf, headsOf, type Installation, openInstallation, plant } from './support.ts'

const AT = '2024-05-06T07:08:09.000Z'

const userEntry = (name: string, changes: Partial<UserEntry> = {}): UserEntry => ({
  ...{ id: randomUUID(), email: `${name.toLowerCase()}@example.org`, name, isAdmin: false, createdAt: AT },
  ...{ deletedAt: null, ...changes },
})

async function usersOf({ pool }: Installation): Promise<Record<string, string>> {
  const { rows } = await pool.query<{ name: string; what: string }>(
    `select name, concat_ws(' ', case when is_admin then 'admin' end,
       case when removal_begun_at is not null then 'removing'
            when deleted_at > now() - interval '1 hour' then 'deleted now'
            when deleted_at is not null then 'deleted' else 'there' end) as what from app_user`,
  )
  return Object.fromEntries(rows.map(({ name, what }) => [name, what]))
}

test('a user who was restored after the backup is there, unless this database has decided since', async (t) => {
  const one = await openInstallation(t)
  const made: UserEntry[] = []
  for (const name of ['Back', 'Removing', 'Decided', 'Deleted']) {
    const { id } = await one.user({
      ...{ name, email: `${name.toLowerCase()}@example.org`, password: 'a long password' },
    })
    made.push(userEntry(name, { id, ...(name === 'Deleted' && { deletedAt: AT }) }))
  }
  await one.pool.query(
    `update app_user set deleted_at = '2024-01-01', removal_begun_at = case when name = 'Removing' then now() end
     where name <> 'Decided'`,
  )
  await one.write()
  // A restore gives them their whole time anew, which is nobody's decision.
  await restartDeleteDelay(one.db)
  await one.pool.query("update app_user set deleted_at = now() where name = 'Decided'")
  await plant(
    one.heldIn('s3'),
    { installation: await one.installation(), parents: await headsOf(one) },
    made.map((user) => ({ user })),
  )
  await one.adopt({ isRebuild: false, isFresh: false })
  assert.deepEqual(await usersOf(one), {
    ...{ Back: 'admin there', Removing: 'removing', Decided: 'deleted now', Deleted: 'deleted now' },
  })
})

test('a user whom the catalogue has as deleted comes back as one, and as no administrator', async (t) => {
  const one = await openInstallation(t)
  await plant(one.heldIn('s3'), { installation: await one.installation() }, [
    { user: userEntry('Anna', { isAdmin: true }) },
    { user: userEntry('Ben', { isAdmin: true, deletedAt: AT }) },
    { user: userEntry('Cleo') },
  ])
  await one.adopt()
  assert.deepEqual(await usersOf(one), { Anna: 'admin there', Ben: 'deleted now', Cleo: 'there' })
})

test('what was taken out of the trash after the backup is out of it, whose time in it was begun anew', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const uploads = [await one.upload(anna.id, 'a.jpg'), await one.upload(anna.id, 'b.jpg')]
  await one.pool.query("update asset set deleted_at = now() - interval '1 day'")
  await one.write()
  const later = (await entriesOf(one)).map((asset) => ({ asset: { ...asset, trashedAt: null } }))
  await plant(
    one.heldIn('s3'),
    { installation: await one.installation(), parents: await headsOf(one) },
    later,
  )
  await restartTrashTime(one.db)
  // This one somebody has put there again.
  for (const at of ['null', 'now()'])
    await one.pool.query(`update asset set deleted_at = ${at} where id = $1`, [uploads[1]!.id])
  await one.adopt({ isRebuild: false, isFresh: false })
  const trashed = (await one.assets()).filter(({ is_trashed }) => is_trashed).map(({ id }) => id)
  assert.deepEqual(trashed, [uploads[1]!.id])
})
