/**
 * Addresses that people bring along: those of Immich's page, where the same thing is called otherwise here.
 */
const SAME: Record<string, string> = {
  '/favorites': '/favourites',
  '/user-settings': '/settings',
  '/admin/user-management': '/users',
  '/admin/users': '/users',
  '/explore': '/search',
  '/sharing': '/albums',
  '/admin': '/storage',
  '/admin/jobs-status': '/storage',
  '/admin/queues': '/storage',
  '/admin/server-status': '/storage',
  '/admin/system-settings': '/storage',
  '/admin/system-statistics': '/storage',
}

/** An open photo, which Immich's page has one folder deeper: `/albums/ID/photos/ID`. */
const PHOTO_OF = /^\/(albums\/[^/]+|favourites|archive|trash|search|recently-added)\/photos(?=\/)/

export function reroute({ url }: { url: URL }): string {
  const path = url.pathname.replace(/(.)\/$/, '$1')
  return SAME[path] ?? path.replace(/^\/favorites\//, '/favourites/').replace(PHOTO_OF, '/$1')
}
