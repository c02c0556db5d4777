import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError } from '../../src/config/mistakes.ts'
import { loadConfig } from '../../src/config.ts'

async function load(t: TestContext, classes: string, prices?: string) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-classes-'))
  t.after(() => rm(folder, { recursive: true }))
  const pricesFile = join(folder, 'prices.json')
  if (prices !== undefined) await writeFile(pricesFile, prices)
  const extra = prices === undefined ? '' : `  pricesFile: ${pricesFile}\n`
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, `storage:\n  classes:\n${classes}\n${extra}`)
  return loadConfig({ GLASSINE_CONFIG: file, GLASSINE_DATA: folder }).storage
}

async function mistakes(t: TestContext, classes: string, prices?: string): Promise<string[]> {
  const error = await load(t, classes, prices).then(
    () => assert.fail('the configuration was taken'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ConfigError)
  return error.mistakes.map(({ path, wrong }) => `${path.slice(1).join('.')}: ${wrong}`)
}

test('classes by kind and age', async (t) => {
  const { classes, prices } = await load(
    t,
    '    originals: { class: STANDARD_IA, rules: [{ olderThanDays: 365, class: DEEP_ARCHIVE }] }',
  )
  assert.deepEqual(classes.originals, {
    class: 'STANDARD_IA',
    rules: [{ olderThanDays: 365, class: 'DEEP_ARCHIVE' }],
  })
  assert.deepEqual([classes.previews, prices], [null, null])
})

test('a backup of the database must be readable by who has lost everything else', async (t) => {
  const { classes } = await load(t, '    databaseBackups: { class: GLACIER_IR }')
  assert.equal(classes.databaseBackups?.class, 'GLACIER_IR')
  const archives = [
    ['{ class: DEEP_ARCHIVE }', 'class'],
    ['{ class: STANDARD, rules: [{ olderThanDays: 30, class: GLACIER }] }', 'rules.0'],
  ]
  for (const [text, path] of archives)
    assert.deepEqual(await mistakes(t, `    databaseBackups: ${text}`), [
      `classes.databaseBackups.${path}: this class must be restored before it is read`,
    ])
})

test('mistakes are named: unknown classes, order, archives for what is looked at, classes of a disk', async (t) => {
  assert.deepEqual(
    await mistakes(t, '    originals: { class: FROZEN, rules: [{ olderThanDays: 0, class: GLACIER }] }'),
    [
      'classes.originals.class: this value does not fit',
      'classes.originals.rules.0.olderThanDays: this value does not fit',
    ],
  )
  assert.deepEqual(
    await mistakes(
      t,
      `    originals:
      class: STANDARD
      rules:
        - { olderThanDays: 90, class: GLACIER }
        - { olderThanDays: 60, class: DEEP_ARCHIVE }
    previews: { class: GLACIER }`,
    ),
    [
      'classes.originals.rules.1: this rule is not for older files than the one before it',
      'classes.originals.rules.1: files leave the archive class before this rule only by a restore',
      'classes.previews: previews belong on the disk, which has no storage classes',
      'classes.previews.class: this class must be restored before it is read',
    ],
  )
})

test('prices of your own', async (t) => {
  const list = {
    mine: {
      asOf: '2026-11',
      source: 'contract',
      currency: 'EUR',
      classes: { STANDARD: { storagePerGbMonth: 0.01, putsPer1000: 0 } },
    },
  }
  const { prices } = await load(t, '    originals: { class: STANDARD_IA }', JSON.stringify(list))
  assert.deepEqual(prices, list)
  const [broken] = await mistakes(t, '    originals: { class: STANDARD_IA }', '{ "secret": ')
  assert.match(broken!, /^pricesFile: .*can't be read \(not JSON\)$/)
  list.mine.classes.STANDARD.putsPer1000 = -1
  assert.deepEqual(await mistakes(t, '    originals: { class: STANDARD_IA }', JSON.stringify(list)), [
    'pricesFile.mine.classes.STANDARD.putsPer1000: this value does not fit',
  ])
})

const BUCKETS = `s3: { bucket: photos }
  default: [s3, cold]
  buckets:
    cold:
      bucket: photos-cold`

async function loadStorage(t: TestContext, storage: string) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-classes-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, `storage:\n  ${storage}\n`)
  return loadConfig({ GLASSINE_CONFIG: file, GLASSINE_DATA: folder }).storage
}

test('a bucket may have classes and a scrub budget of its own', async (t) => {
  const { buckets, s3 } = await loadStorage(
    t,
    `${BUCKETS}\n      classes: { originals: { class: GLACIER } }\n      scrub: { bytes: 2 GiB }`,
  )
  assert.equal(buckets.cold?.classes?.originals?.class, 'GLACIER')
  assert.deepEqual([buckets.cold?.scrub, s3?.scrub], [{ bytes: 2 ** 31, money: null }, null])
})

test('classes of a bucket are checked as those of all, and for what belongs there', async (t) => {
  const wrong = `      classes:
        originals: { class: GLACIER, rules: [{ olderThanDays: 30, class: STANDARD_IA }] }
        previews: { class: STANDARD_IA }`
  const error = await loadStorage(t, `${BUCKETS}\n${wrong}`).catch((thrown: unknown) => thrown)
  assert.ok(error instanceof ConfigError)
  assert.deepEqual(
    error.mistakes.map(({ path, wrong }) => `${path.join('.')}: ${wrong}`),
    [
      'storage.buckets.cold.classes.originals.rules.0: files leave the archive class before this rule only by a restore',
      'storage.buckets.cold.classes.previews: previews do not belong in cold',
    ],
  )
})
