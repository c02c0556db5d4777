/**
 * About what classes and restores cost: list prices with their date and source, in `storage-prices.json` or
 * in a file of yours (`storage.pricesFile`). Taxes and discounts are not in them; data that leaves the
 * provider is in `readPrice` alone.
 */
import { ORDINARY_CLASS, type RestoreTier } from './storage-classes.ts'
import shipped from './storage-prices.json' with { type: 'json' }

export type ClassPrice = {
  storagePerGbMonth: number
  putsPer1000: number
  /** What reading costs in addition to the request; a copy into another class reads, too. Absent: nothing. */
  readsPerGb?: number | undefined
  restore?: Partial<Record<RestoreTier, { perGb: number; per1000: number }>> | undefined
  /**
   * Bytes that are billed beside each object, at this class's price and at the ordinary one's; absent: none.
   */
  beside?: { bytes: number; ordinaryBytes: number } | undefined
}
export type ProviderPrices = {
  /** Year and month. */
  asOf: string
  source: string
  /** Prices for which no public source was found, such as `GLACIER_IR.putsPer1000`: an estimate. */
  unverified?: string[] | undefined
  currency: string
  /**
   * What it costs that bytes leave the provider, and a GET, whatever the class; absent: not known.
   */
  reading?: { perGb: number; per1000: number } | undefined
  classes: Record<string, ClassPrice>
}
/** By provider, a name of the table in docs/configuration.md. */
export type PriceList = Record<string, ProviderPrices>

export type Price = { amount: number; currency: string; asOf: string; source: string }

export const SHIPPED_PRICES: PriceList = shipped

/** Providers say GB and bill 2^30 bytes. */
const GB = 2 ** 30
const DAYS_A_MONTH = 30

/** Whose prices apply where the files are: a name of the price list. */
type Held = { provider?: string }

function pricesAt(prices: PriceList, provider: string | undefined): ProviderPrices | null {
  return (provider !== undefined && prices[provider]) || null
}

function priceOf({ currency, asOf, source }: ProviderPrices, amount: number): Price {
  return { amount, currency, asOf, source }
}

/** A restore and its readable copy for `days`; null where no price is known. */
export function restorePrice(
  prices: PriceList,
  { provider }: Held,
  what: { storageClass: string; tier: RestoreTier; days: number; count: number; bytes: number },
): Price | null {
  const list = pricesAt(prices, provider)
  const rates = list?.classes[what.storageClass]?.restore?.[what.tier]
  if (!list || !rates) return null
  const gb = what.bytes / GB
  const copy = (gb * (list.classes[ORDINARY_CLASS]?.storagePerGbMonth ?? 0) * what.days) / DAYS_A_MONTH
  return priceOf(list, gb * rates.perGb + (what.count / 1000) * rates.per1000 + copy)
}

/**
 * What changing a class costs at once, and what keeping it costs a month before and after; null where no
 * price is known.
 */
export function changePrice(
  prices: PriceList,
  { provider }: Held,
  what: { from: string | null; to: string; count: number; bytes: number },
): { once: Price; monthlyBefore: Price; monthlyAfter: Price } | null {
  const list = pricesAt(prices, provider)
  const from = list?.classes[what.from ?? ORDINARY_CLASS]
  const to = list?.classes[what.to]
  if (!list || !from || !to) return null
  const gb = what.bytes / GB
  return {
    once: priceOf(list, (what.count / 1000) * to.putsPer1000 + gb * (from.readsPerGb ?? 0)),
    monthlyBefore: priceOf(list, monthly(list, from, what)),
    monthlyAfter: priceOf(list, monthly(list, to, what)),
  }
}

/**
 * What reading one object costs outside of the provider: its GET, what its class bills, and the way out; null
 * where no price is known.
 */
export function readPrice(
  prices: PriceList,
  { provider }: Held,
  what: { storageClass: string | null; bytes: number },
): Price | null {
  const list = pricesAt(prices, provider)
  const held = list?.classes[what.storageClass ?? ORDINARY_CLASS]
  if (!list?.reading || !held) return null
  const { perGb, per1000 } = list.reading
  return priceOf(list, (what.bytes / GB) * (perGb + (held.readsPerGb ?? 0)) + per1000 / 1000)
}

/** What so many puts cost at once, into the ordinary class; null where no price is known. */
export function putPrice(prices: PriceList, { provider }: Held, { count }: { count: number }): Price | null {
  const list = pricesAt(prices, provider)
  const rates = list?.classes[ORDINARY_CLASS]
  return list && rates ? priceOf(list, (count / 1000) * rates.putsPer1000) : null
}

/** What keeping these objects costs a month; null where no price is known. */
export function keepPrice(
  prices: PriceList,
  { provider }: Held,
  what: { storageClass: string | null; count: number; bytes: number },
): Price | null {
  const list = pricesAt(prices, provider)
  const rates = list?.classes[what.storageClass ?? ORDINARY_CLASS]
  return list && rates ? priceOf(list, monthly(list, rates, what)) : null
}

function monthly(
  { classes }: ProviderPrices,
  { storagePerGbMonth, beside = { bytes: 0, ordinaryBytes: 0 } }: ClassPrice,
  { count, bytes }: { count: number; bytes: number },
): number {
  const ordinary = classes[ORDINARY_CLASS]?.storagePerGbMonth ?? 0
  const here = (bytes + count * beside.bytes) / GB
  return here * storagePerGbMonth + ((count * beside.ordinaryBytes) / GB) * ordinary
}
