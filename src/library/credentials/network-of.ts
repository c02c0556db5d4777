import { isIPv6 } from 'node:net'

/**
 * What counts as one sender: an IPv4 address, or the 64 bits of an IPv6 address that its owner does not
 * choose freely. Text that is no address comes back as it is.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  const [head = '', tail] = address.split('%')[0]!.split('::')
  const groups = (text: string | undefined) => (text ? text.split(':') : [])
  const first = groups(head)
  // An IPv4 address at the end stands for two groups.
  const last = groups(tail)
  const length = first.length + last.length + (last.at(-1)?.includes('.') ? 1 : 0)
  const all = tail === undefined ? first : [...first, ...Array<string>(8 - length).fill('0'), ...last]
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
