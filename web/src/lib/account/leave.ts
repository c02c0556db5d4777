/** Logging out, from wherever it is asked for. */
import { logOut } from '../api.ts'
import { sayError } from '../toasts.svelte.ts'

export async function leave(): Promise<void> {
  try {
    await logOut()
  } catch (error) {
    sayError(error)
    return
  }
  // A whole new page, so that nothing of this person's stays in memory.
  location.assign('/auth/login')
}
