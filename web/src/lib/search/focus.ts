/** The search field of the bar, from any key or button. */
import { goto } from '$app/navigation'

/** Where there is no room for the field in the bar, it is on the page of its own. */
export async function focusSearch(): Promise<void> {
  const isShown = (input: HTMLElement) => input.offsetParent !== null
  const find = () => [...document.querySelectorAll<HTMLInputElement>('input[data-search]')].find(isShown)
  const field = find()
  if (field) return field.select()
  await goto('/search')
  find()?.select()
}
