/**
 * Which bucket and prefix on earth a location is. The ledger keeps it as text, so that one that became
 * another is noticed.
 */
export type S3Address = { endpoint: string | null; region: string; bucket: string; prefix: string }

export function identityOfS3({ endpoint, region, bucket, prefix }: S3Address): string {
  return `${endpoint ?? `aws:${region}`} ${bucket}/${prefix}`
}

/**
 * The address in such a text; null where it is none. `region` matters for AWS alone, and is the given one
 * elsewhere.
 */
export function addressOfIdentity(identity: string, region: string): S3Address | null {
  const [, place, bucket, prefix] = /^(\S+) ([^/\s]+)\/(\S*)$/.exec(identity) ?? []
  if (place === undefined || bucket === undefined || prefix === undefined) return null
  const aws = /^aws:(.+)$/.exec(place)?.[1]
  return { endpoint: aws === undefined ? place : null, region: aws ?? region, bucket, prefix }
}
