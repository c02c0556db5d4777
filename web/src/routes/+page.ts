import { redirect } from '@sveltejs/kit'

/** The timeline is home. */
export function load(): never {
  redirect(307, '/photos')
}
