/** Which catalogue is believed: damage, copies, forks, several places, and what somebody has made up. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { loadFound } from '../../../src/library/catalogue/adoption/load-found.ts'
import { assetEntry, batchKey, type Installation, openInstallation, packed, plant } from './support.ts'

const OWNER = randomUUID()

async function open(t: TestContext, buckets = ['s3']) {
  const one = await openInstallation(t, { buckets })
  return { one, installation: await one.installation() }
}

async function read(one: Installation, heads: string[] = []) {
  const places = [...one.placement.locations.values()].filter(({ id }) => id !== 'local')
  const found = await loadFound(one.db, places, {
    what: 'plan',
    installation: await one.installation(),
    heads,
  })
  const { rows } = await one.pool.query<{
    id: string
    name: string | null
    is_gone: boolean
    is_known: boolean
  }>(
    `select id, entry ->> 'name' as name, is_gone, is_known from catalogue_found where kind = 'asset' order by 2`,
  )
  return { found, rows, names: rows.filter((row) => !row.is_gone).map(({ name }) => name) }
}

test('a damaged batch is named and not used, and the generation before it is', async (t) => {
  const { one, installation } = await open(t)
  const held = one.heldIn('s3')
  const photo = assetEntry(OWNER, { name: 'first' })
  const first = await plant(held, { installation, isSnapshot: true }, [photo])
  const second = await plant(held, { installation, isSnapshot: true, parents: [first.sha256] }, [
    { asset: { ...photo.asset, name: 'second' } },
  ])
  assert.deepEqual((await read(one)).names, ['second'])
  const { bytes } = held.get(second.key)!
  for (const damaged of [
    bytes.subarray(0, bytes.length - 5),
    bytes.subarray(0, 20),
    Buffer.concat([bytes, Buffer.from('more')]),
    Buffer.from(bytes.map((byte, at) => (at === 40 ? byte ^ 4 : byte))),
    Buffer.alloc(0),
  ]) {
    held.set(second.key, { bytes: damaged, modifiedAt: new Date() })
    const { found, names } = await read(one)
    assert.deepEqual(names, ['first'])
    assert.deepEqual(
      found.unusable.map(({ location, key }) => [location, key]),
      [['s3', second.key]],
    )
  }
})

test('a count that is not that of the entries, or a digest of others, is no batch', async (t) => {
  const { one, installation } = await open(t)
  const held = one.heldIn('s3')
  const { gunzipSync, gzipSync } = await import('node:zlib')
  const { bytes } = await packed({ installation, isSnapshot: true }, [assetEntry(OWNER)])
  const text = gunzipSync(bytes).toString()
  for (const other of [
    text.replace('"entries":1', '"entries":9007199254740991'),
    text.replace('"name":"photo.jpg"', '"name":"other.jpg"'),
    text.replace(/\{"end".*\n/, ''),
    text.replace('"version":1', '"version":2'),
    `${text.split('\n')[0]}\n${'x'.repeat(2 * 1024 * 1024)}`,
  ]) {
    held.clear()
    held.set(batchKey(installation), { bytes: gzipSync(other), modifiedAt: new Date() })
    const { found, names } = await read(one)
    assert.deepEqual([names, found.unusable.length], [[], 1])
  }
  // Under the name of another installation.
  held.clear()
  const foreign = await packed({ installation: randomUUID() }, [assetEntry(OWNER)])
  held.set(batchKey(installation), { bytes: foreign.bytes, modifiedAt: new Date() })
  assert.match((await read(one)).found.unusable[0]!.reason, /another installation/)
})

test('a copied or older database does not stand for what it never knew, whatever its clock says', async (t) => {
  const { one, installation } = await open(t)
  const held = one.heldIn('s3')
  const old = assetEntry(OWNER, { name: 'old' })
  const late = assetEntry(OWNER, { name: 'late' })
  const base = await plant(held, { installation, isSnapshot: true }, [old])
  const real = await plant(held, { installation, parents: [base.sha256], madeAt: '2026-01-01T00:00:00Z' }, [
    late,
    { asset: { ...old.asset, name: 'renamed' } },
  ])
  // Years ahead, it holds "everything", and does not know the batch before.
  await plant(
    held,
    { installation, isSnapshot: true, parents: [base.sha256], madeAt: '2030-01-01T00:00:00Z' },
    [],
  )
  const { names, found } = await read(one, [base.sha256])
  assert.deepEqual(names, ['late', 'renamed'])
  assert.equal(found.heads.length, 2)
  // And a deletion that did not know of the photo does not take it away.
  await plant(held, { installation, parents: [base.sha256], madeAt: '2031-01-01T00:00:00Z' }, [
    { gone: { kind: 'asset', id: late.asset.id } },
  ])
  assert.deepEqual((await read(one)).names, ['late', 'renamed'])
  // One that did, does.
  await plant(held, { installation, parents: [real.sha256], madeAt: '2020-01-01T00:00:00Z' }, [
    { gone: { kind: 'asset', id: late.asset.id } },
  ])
  assert.deepEqual((await read(one)).names, ['renamed'])
})

test('of two locations the one with the older catalogue takes nothing away', async (t) => {
  const { one, installation } = await open(t, ['s3', 'second'])
  const [s3, second] = [one.heldIn('s3'), one.heldIn('second')]
  const old = assetEntry(OWNER, { name: 'old' })
  const first = await plant(s3, { installation, isSnapshot: true }, [old])
  second.set(first.key, s3.get(first.key)!)
  await plant(s3, { installation, isSnapshot: true, parents: [first.sha256] }, [
    { asset: { ...old.asset, name: 'new' } },
    assetEntry(OWNER, { name: 'later' }),
  ])
  const { names, found } = await read(one)
  assert.deepEqual(names, ['later', 'new'])
  assert.equal(found.unusable.length, 0)
  // Damaged at one, it is read from the other.
  const newest = [...s3.keys()].find((key) => key !== first.key && key.startsWith('catalogue/'))!
  second.set(batchKey(installation), s3.get(newest)!)
  s3.set(newest, { bytes: Buffer.from('rotten'), modifiedAt: new Date() })
  const again = await read(one)
  assert.deepEqual(again.names, ['later', 'new'])
  assert.equal(again.found.unusable.length, 1)
})

test('what somebody has made up is refused, entry by entry, and named', async (t) => {
  const { one, installation } = await open(t)
  const other = randomUUID()
  const { asset } = assetEntry(OWNER)
  const withKey = (key: string) => ({
    asset: { ...asset, original: { ...asset.original, keys: { s3: key } } },
  })
  const [, , , name] = asset.original.keys.s3!.split('/')
  const made = [
    withKey(`users/${OWNER}/../${other}/${name}`),
    withKey(`users/${other}/${asset.id}/${name}`),
    withKey(`/etc/passwd`),
    withKey(`backups/${OWNER}/2026-05-04T03-00-00Z.0123456789abcdef0123456789abcdef.age`),
    withKey(asset.original.keys.s3!.replace('original', 'thumbnail')),
    { asset: { ...asset, original: { ...asset.original, size: 2 ** 60 } } },
    { asset: { ...asset, original: { ...asset.original, size: -1 } } },
    { asset: { ...asset, original: { ...asset.original, sha256: 'ab' } } },
    { asset: { ...asset, id: '../../x' } },
    { asset: { ...asset, name: 'a\0b' } },
    { asset: { ...asset, passwordHash: 'x' } },
    {
      user: {
        id: other,
        email: 'nobody',
        name: '',
        isAdmin: true,
        createdAt: asset.createdAt,
        deletedAt: null,
      },
    },
    { album: { id: other } },
    { anything: 1 },
    null,
    7,
  ]
  const right = assetEntry(OWNER, { name: 'right' })
  await plant(one.heldIn('s3'), { installation }, [...(made as object[]), right])
  const { found, names } = await read(one)
  assert.deepEqual(names, ['right'])
  assert.equal(found.refused.count, made.length)
  assert.ok(found.refused.examples.every((text) => text.startsWith('catalogue/')))
})
