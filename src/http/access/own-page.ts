/**
 * Whether the page that asks is ours. A browser sends its cookies for every page; headers that no page can
 * change say which page it is. Clients other than browsers send neither header, and open no foreign pages.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../../errors.ts'

/**
 * @param publicUrl of this server, where it is configured: its pages are ours under whatever name a proxy
 * asks us
 * @throws AppError forbidden when the page of another origin asks
 */
export function requireOwnPage(headers: IncomingHttpHeaders, publicUrl: string | null): void {
  if (isOwnPage(headers, publicUrl)) return
  throw new AppError(
    'forbidden',
    'This request came from a page of another origin, and was refused. If it is your own address of this server, ' +
      'set server.publicUrl to it, or let the reverse proxy pass the Host header on',
  )
}

function isOwnPage(headers: IncomingHttpHeaders, publicUrl: string | null): boolean {
  // What the browser itself found out, even if a proxy changed our name. Sent on https and to localhost only.
  // `none`: a person's doing.
  const site = headers['sec-fetch-site']
  if (site === 'same-origin' || site === 'none') return true
  const { origin } = headers
  if (origin === undefined) return site === undefined
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  if (publicUrl !== null && page.origin === new URL(publicUrl).origin) return true
  // The browser has compared them already, and better: with the scheme and by the address that it sees.
  if (site !== undefined) return false
  // Only hosts are compared, since a proxy that ends TLS before us may not say so. X-Forwarded-Host is
  // believed from anybody: a page can't set it.
  const names = [headers.host, ...String(headers['x-forwarded-host'] ?? '').split(',')]
  return names.some((name) => name !== undefined && hostOf(name.trim(), page.protocol) === page.host)
}

/** Without the port that the page's scheme has anyway; '' for what is no host. */
function hostOf(name: string, protocol: string): string {
  const url = `${protocol}//${name}`
  return URL.canParse(url) ? new URL(url).host : ''
}
