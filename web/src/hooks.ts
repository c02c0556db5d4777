/**
 * Addresses that people bring along: those of Immich's page, where the same thing is called otherwise here.
 */
const SAME: Record<string, string> = {
  '/favorites': '/favourites',
  '/user-settings': '/settings',
  '/admin/user-management': '/users',
  '/admin/users': '/users',
  '/explore': '/search',
}

export function reroute({ url }: { url: URL }): string {
  const path = url.pathname.replace(/(.)\/$/, '$1')
  return SAME[path] ?? path.replace(/^\/favorites\//, '/favourites/')
}
