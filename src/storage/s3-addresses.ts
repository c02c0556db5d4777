import { findS3Provider } from './s3-providers.ts'

/**
 * The origins of the URLs that browsers are given for a bucket: what the page's content security policy must name. Told
 * from the settings alone, without credentials and without a request.
 */
export function bucketOrigins(settings: {
  endpoint: string | null
  publicEndpoint?: string | null
  bucket: string
  region: string
  forcePathStyle: boolean | null
  provider: string
}): string[] {
  const { bucket, region } = settings
  const endpoint = settings.publicEndpoint ?? settings.endpoint
  const provider = findS3Provider(settings.provider, endpoint)
  const partition = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const { protocol, host, hostname } = new URL(endpoint ?? `https://s3.${region}.${partition}`)
  // An address has no subdomains, and the certificate of *.s3… does not cover a bucket with dots: the SDK falls back, too.
  const mustBePath = /^[\d.]+$|^\[/.test(hostname) || (bucket.includes('.') && protocol === 'https:')
  const isPath = (settings.forcePathStyle ?? provider.forcePathStyle) || mustBePath
  return [isPath ? `${protocol}//${host}` : `${protocol}//${bucket}.${host}`]
}
