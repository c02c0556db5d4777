import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ClassRules,
  classOf,
  classStep,
  isArchiveClass,
  restoresOf,
  STORAGE_CLASSES,
  wantedClass,
} from '../../../src/placement/storage-classes.ts'
import { changePrice, restorePrice, SHIPPED_PRICES } from '../../../src/placement/storage-prices.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend } from '../../support/placement.ts'

const DAY_MS = 24 * 3_600_000
const NOW = new Date('2026-06-01T12:00:00Z')
const daysAgo = (days: number) => new Date(NOW.getTime() - days * DAY_MS)
const MIB = 1024 * 1024
const RULES: ClassRules = {
  class: 'STANDARD',
  rules: [
    { olderThanDays: 30, class: 'STANDARD_IA' },
    { olderThanDays: 365, class: 'GLACIER' },
  ],
}

test('the class of an age, and that of what is too small or can not be proven', () => {
  const at = (days: number, size = MIB) => wantedClass(RULES, { size, createdAt: daysAgo(days) }, NOW)
  assert.deepEqual(
    [at(0), at(29.9), at(30), at(364), at(365)],
    ['STANDARD', 'STANDARD', 'STANDARD_IA', 'STANDARD_IA', 'GLACIER'],
  )
  assert.equal(at(1000, 128 * 1024 - 1), 'STANDARD')
  assert.equal(at(1000, 128 * 1024), 'GLACIER')
  const old = { size: MIB, createdAt: daysAgo(1000) }
  assert.equal(
    wantedClass(RULES, old, NOW, (name) => !isArchiveClass(name)),
    'STANDARD_IA',
  )
})

test('a class is left when it is paid for, and an archive only while it is restored', () => {
  const step = (storageClass: string | null, sinceDays: number, isReadable = true) =>
    classStep(
      RULES,
      { size: MIB, createdAt: daysAgo(400) },
      { storageClass, classSince: daysAgo(sinceDays), isReadable },
      NOW,
    )
  assert.deepEqual(step(null, 0), { do: 'change', to: 'GLACIER' })
  assert.deepEqual(step('STANDARD_IA', 29), { do: 'wait', to: 'GLACIER', why: 'too-soon', at: daysAgo(-1) })
  assert.deepEqual(step('STANDARD_IA', 30), { do: 'change', to: 'GLACIER' })
  assert.deepEqual(step('GLACIER', 1, false), { do: 'stay' })
  assert.deepEqual(step('DEEP_ARCHIVE', 500, false), { do: 'wait', to: 'GLACIER', why: 'archived' })
  assert.deepEqual(step('DEEP_ARCHIVE', 500), { do: 'change', to: 'GLACIER' })
})

test('whatever the rules are: a change never breaks a minimum, and what it leads to stays', () => {
  const name = fc.constantFrom(...STORAGE_CLASSES.map((one) => one.name))
  const rules = fc.record({
    class: name,
    rules: fc.array(fc.record({ olderThanDays: fc.integer({ min: 1, max: 2000 }), class: name }), {
      maxLength: 4,
    }),
  })
  fc.assert(
    fc.property(
      rules,
      fc.integer({ min: 0, max: 2 * MIB }),
      fc.integer({ min: 0, max: 3000 }),
      fc.option(name),
      fc.integer({ min: 0, max: 400 }),
      fc.boolean(),
      (made, size, age, storageClass, since, isReadable) => {
        const object = { size, createdAt: daysAgo(age) }
        const replica = { storageClass, classSince: daysAgo(since), isReadable }
        const step = classStep(made, object, replica, NOW)
        if (step.do !== 'change') return
        assert.ok(isReadable)
        assert.ok(since >= classOf(storageClass).minDays)
        assert.ok(size >= classOf(step.to).minBytes)
        const after = { storageClass: step.to, classSince: NOW, isReadable: !isArchiveClass(step.to) }
        assert.deepEqual(classStep(made, object, after, NOW), { do: 'stay' })
      },
    ),
  )
})

test('prices are of the provider, and none is made up', () => {
  const aws = { ...locationOfBackend('s3', 's3', openMemoryBackend()), provider: 'aws' }
  const what = {
    storageClass: 'GLACIER',
    tier: 'standard',
    days: 30,
    count: 1000,
    bytes: 100 * 1024 ** 3,
  } as const
  const price = restorePrice(SHIPPED_PRICES, aws, what)!
  assert.equal(price.amount.toFixed(2), (100 * 0.01 + 0.05 + 100 * 0.023).toFixed(2))
  assert.match(price.source, /^https:/)
  assert.equal(restorePrice(SHIPPED_PRICES, { ...aws, provider: 'unheard-of' }, what), null)
  assert.equal(
    restorePrice(SHIPPED_PRICES, aws, { ...what, storageClass: 'DEEP_ARCHIVE', tier: 'expedited' }),
    null,
  )
  const change = changePrice(SHIPPED_PRICES, aws, {
    from: null,
    to: 'GLACIER_IR',
    count: 1000,
    bytes: 1024 ** 3,
  })!
  assert.deepEqual(
    [change.once.amount, change.monthlyBefore.amount, change.monthlyAfter.amount],
    [0.02, 0.023, 0.004],
  )
  const onward = changePrice(SHIPPED_PRICES, aws, {
    from: 'STANDARD_IA',
    to: 'GLACIER_IR',
    count: 1000,
    bytes: 1024 ** 3,
  })!
  assert.equal(onward.once.amount, 0.03, 'the copy reads, which STANDARD_IA bills')
  const archived = changePrice(SHIPPED_PRICES, aws, {
    from: 'GLACIER_IR',
    to: 'DEEP_ARCHIVE',
    count: 32_768,
    bytes: 10 * 1024 ** 3,
  })!
  assert.deepEqual(
    [archived.monthlyBefore.amount.toFixed(6), archived.monthlyAfter.amount.toFixed(6)],
    [(10 * 0.004).toFixed(6), (11 * 0.00099 + 0.25 * 0.023).toFixed(6)],
    '32 KB of each object are billed beside it, and 8 KB as ordinary ones',
  )
  for (const { asOf, source, classes, reading, unverified = [] } of Object.values(SHIPPED_PRICES)) {
    assert.match(asOf, /^20\d\d-[01]\d$/)
    assert.match(source, /^https:/)
    for (const path of unverified) {
      const [name, field] = path.split('.') as [string, 'putsPer1000']
      const known = path === 'reading' ? reading : classes[name]?.[field]
      assert.ok(known !== undefined, `${path} is a price of the list`)
    }
  }
})

test('a provider without tiers is not asked for one', () => {
  assert.deepEqual(restoresOf('scaleway', 'GLACIER'), { standard: 24 * 60 })
  assert.deepEqual(restoresOf('aws', 'GLACIER'), { expedited: 5, standard: 300, bulk: 720 })
  assert.deepEqual(restoresOf(undefined, null), {})
  for (const [provider, { classes }] of Object.entries(SHIPPED_PRICES)) {
    for (const [name, { restore = {} }] of Object.entries(classes))
      assert.deepEqual(Object.keys(restore).sort(), Object.keys(restoresOf(provider, name)).sort())
  }
})
