/** The keys and values that clients keep with assets, as requests carry them. */
import { z } from 'zod'
import { list, uuid } from '../../validate.ts'

/** Of one value as JSON text. Immich's phone app keeps some 200 bytes. */
const MAX_VALUE_CHARACTERS = 65_536

export const metadataKey = z
  .string()
  .min(1)
  .max(200)
  .refine((key) => !key.includes('\0'), 'A key may hold no NUL')

const value = z
  .record(z.string(), z.unknown())
  .refine(
    (object) => JSON.stringify(object).length <= MAX_VALUE_CHARACTERS,
    'The value is longer than 64 KiB',
  )
  // What PostgreSQL can't store: NUL and halves of surrogate pairs, anywhere in it.
  .refine(
    (object) => !/\\u0000|\\ud[89a-f]/.test(JSON.stringify(object).replaceAll('\\\\', '')),
    'The value holds text that is none',
  )
const item = z.object({ key: metadataKey, value })
const bulkItem = item.extend({ assetId: uuid })

export const metadataItems = list(item, { max: 100 }).superRefine((items, context) => {
  const twice = findTwice(items.map(({ key }) => key))
  if (twice !== undefined)
    context.addIssue({ code: 'custom', message: `Duplicate items are not allowed: "${twice}"` })
})
export const bulkMetadataItems = list(bulkItem, { max: 10_000 }).superRefine((items, context) => {
  const twice = findTwice(items.map(({ assetId, key }) => `(${assetId}, ${key})`))
  if (twice !== undefined)
    context.addIssue({ code: 'custom', message: `Duplicate items are not allowed: "${twice}"` })
})

function findTwice(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return names.find((name) => seen.size === seen.add(name).size)
}
