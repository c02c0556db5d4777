import type { Archive } from '../api-types.ts'

type Option = Archive['options'][number]

/** `5 hours`, `5 minutes`. */
export function formatWait(minutes: number): string {
  const [value, unit] = minutes < 60 ? [minutes, 'minute'] : [Math.round(minutes / 60), 'hour']
  return `${value} ${unit}${value === 1 ? '' : 's'}`
}

/** `within 5 hours, about 0.02 USD`: never a figure that was not said to be about right. */
export function describeOption({ expectedMinutes, price }: Option): string {
  const wait = `within ${formatWait(expectedMinutes)}`
  if (price === null) return `${wait}, price not known`
  const amount = price.amount > 0 && price.amount < 0.01 ? 'under 0.01' : `about ${price.amount.toFixed(2)}`
  return `${wait}, ${amount} ${price.currency}`
}
