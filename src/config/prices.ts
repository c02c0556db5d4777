import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { PriceList } from '../placement/storage-prices.ts'
import type { Mistake } from './mistakes.ts'

const amount = z.number().min(0)
const restoreRates = z.strictObject({ perGb: amount, per1000: amount })
const PRICES_SCHEMA = z.record(
  z.string(),
  z.strictObject({
    asOf: z.string(),
    source: z.string(),
    unverified: z.array(z.string()).optional(),
    currency: z.string().length(3),
    reading: z.strictObject({ perGb: amount, per1000: amount }).optional(),
    classes: z.record(
      z.string(),
      z.strictObject({
        storagePerGbMonth: amount,
        putsPer1000: amount,
        readsPerGb: amount.optional(),
        beside: z.strictObject({ bytes: amount, ordinaryBytes: amount }).optional(),
        restore: z.partialRecord(z.enum(['bulk', 'standard', 'expedited']), restoreRates).optional(),
      }),
    ),
  }),
)

/** A price list of the owner's. What is wrong with it is added to the mistakes, and null comes back. */
export function readPrices(file: string, mistakes: Mistake[]): PriceList | null {
  const path = ['storage', 'pricesFile']
  let content: unknown
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    // The parser's own words quote the file.
    const wrong = `${file} can't be read (${(error as { code?: string }).code ?? 'not JSON'})`
    mistakes.push({ path, wrong, right: 'begin with a copy of src/placement/storage-prices.json' })
    return null
  }
  const parsed = PRICES_SCHEMA.safeParse(content)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    mistakes.push({
      path: [...path, ...issue.path.map(String)],
      wrong: 'this value does not fit',
      right: issue.message,
    })
  }
  return null
}
