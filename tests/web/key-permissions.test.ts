import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PERMISSIONS } from '../../src/library/credentials/permissions.ts'
import { PERMISSION_GROUPS, PRESETS, permissionWords } from '../../web/src/lib/account/key-permissions.ts'

test('every permission but all of them can be chosen by itself, in words', () => {
  const offered = PERMISSION_GROUPS.flatMap(({ permissions }) => permissions.map(({ name }) => name))
  assert.deepEqual(offered.toSorted(), PERMISSIONS.filter((name) => name !== 'all').toSorted())
  const albumAsset = PERMISSION_GROUPS.find(({ about }) => about === 'album asset')
  assert.deepEqual(albumAsset?.permissions[0], { name: 'albumAsset.create', action: 'create' })
  const asset = PERMISSION_GROUPS.find(({ about }) => about === 'asset')
  assert.ok(asset?.permissions.some(({ action }) => action === 'edit: get'))
})

test('what is offered by a name exists, and is called so in the table, in whatever order it is stored', () => {
  for (const { label, permissions } of Object.values(PRESETS)) {
    assert.deepEqual(
      permissions.filter((name) => !PERMISSIONS.includes(name)),
      [],
    )
    assert.equal(permissionWords(permissions.toReversed()), label)
  }
  assert.equal(permissionWords(['asset.read', 'all']), 'Everything that you can')
  assert.equal(permissionWords(['asset.read']), '1 permission')
  assert.equal(permissionWords([...PRESETS.upload.permissions, 'asset.delete']), '8 permissions')
})
