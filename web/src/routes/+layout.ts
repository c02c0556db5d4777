import { redirect } from '@sveltejs/kit'
import { ApiError, getMe, getServerConfig } from '../lib/api.ts'
import { hasSessionCookie, session } from '../lib/session.svelte.ts'

export const ssr = false
export const prerender = false

/** Where a user with a password from somebody else chooses another one. */
const CHANGE_PASSWORD = '/auth/change-password'

/**
 * Who is there decides where to go: first run to sign-up, nobody to login, somebody to where they wanted.
 * `problem` is why that could not be found out; the layout shows it and tries again.
 */
export async function load({ url, depends }: { url: URL; depends: (name: string) => void }) {
  depends('glassine:session')
  try {
    if (!(await isLoggedIn())) return await leadIn(url)
  } catch (problem) {
    if (problem instanceof ApiError) return { problem: problem.message }
    throw problem
  }
  const mustChange = session.user?.shouldChangePassword ?? false
  if (url.pathname === CHANGE_PASSWORD) {
    if (!mustChange) redirect(307, '/photos')
  } else if (mustChange) redirect(307, CHANGE_PASSWORD)
  else if (url.pathname.startsWith('/auth/')) redirect(307, '/photos')
  return { problem: null }
}

async function isLoggedIn(): Promise<boolean> {
  if (session.isExpired) return false
  if (session.user !== null) return true
  if (!hasSessionCookie()) return false
  try {
    session.user = await getMe()
    return true
  } catch (problem) {
    if (problem instanceof ApiError && problem.status === 401) return false
    throw problem
  }
}

async function leadIn(url: URL): Promise<{ problem: null }> {
  const { isInitialized } = await getServerConfig()
  const page = isInitialized ? '/auth/login' : '/auth/register'
  if (url.pathname === page) return { problem: null }
  const wanted = url.pathname + url.search
  const isWorthKeeping = isInitialized && !url.pathname.startsWith('/auth/') && wanted !== '/'
  redirect(307, isWorthKeeping ? `${page}?next=${encodeURIComponent(wanted)}` : page)
}
