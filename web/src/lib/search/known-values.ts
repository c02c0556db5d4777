/** The cameras, lenses and places of this person's photos, for suggestions. */
import { getSuggestions } from '../api.ts'
import type { KnownField, KnownValues } from './interpret.ts'

/** Asked again after that: uploads bring new ones. */
const FRESH_MS = 60_000
const TYPES: Record<KnownField, string> = {
  city: 'city',
  state: 'state',
  country: 'country',
  make: 'camera-make',
  model: 'camera-model',
  lensModel: 'camera-lens-model',
}

export const NO_VALUES: KnownValues = { city: [], state: [], country: [], make: [], model: [], lensModel: [] }

let asked: { at: number; values: Promise<KnownValues> } | null = null

/** Rejects with `ApiError`; the next call asks again then. */
export function readKnownValues(): Promise<KnownValues> {
  if (asked === null || Date.now() - asked.at > FRESH_MS) {
    const values = read()
    asked = { at: Date.now(), values }
    values.catch(() => (asked = null))
  }
  return asked.values
}

async function read(): Promise<KnownValues> {
  const fields = Object.entries(TYPES) as [KnownField, string][]
  const lists = await Promise.all(fields.map(([, type]) => getSuggestions(type)))
  return Object.fromEntries(
    fields.map(([field], index) => [field, lists[index]!]),
  ) as Partial<KnownValues> as KnownValues
}
