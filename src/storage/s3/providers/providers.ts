import type { S3Provider } from './provider.ts'
import { s3Providers } from './provider-table.ts'

/**
 * The provider of a name; `auto` tells it from the endpoint (none: AWS; an unknown one: what most do).
 * @throws RangeError
 */
export function findS3Provider(name: string, endpoint: string | null): S3Provider {
  if (name !== 'auto' && name !== '') {
    const named = s3Providers.find((provider) => provider.name === name)
    if (!named) throw new RangeError(`there is no S3 provider ${name}`)
    return named
  }
  const host = endpoint === null ? 's3.amazonaws.com' : new URL(endpoint).hostname
  const known = s3Providers.find((provider) => provider.host?.test(host))
  return known ?? findS3Provider('generic', null)
}
