/** Who is logged in, on this page. The session itself is an HttpOnly cookie that no script can read. */
import type { User } from './api-types.ts'

export const session = $state<{ user: User | null; isExpired: boolean }>({ user: null, isExpired: false })

/**
 * Whether the server set the cookie that says "somebody is logged in". The proof is another one, out of
 * reach.
 */
export function hasSessionCookie(): boolean {
  return document.cookie.split('; ').includes('immich_is_authenticated=true')
}

/** The server refused the session: the layout sees this and leads to the login page. */
export function expireSession(): void {
  if (session.user !== null) session.isExpired = true
}
