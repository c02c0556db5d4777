/** What the bar above every page says: the page itself tells it. */
import type { Snippet } from 'svelte'

export const topBar = $state<{
  title: string
  /** Beside the title: how many, whose. */
  detail: string
  /** The title is the page's heading; pages with a heading of their own in their content say no. */
  isHeading: boolean
  /** The month that is shown, of a timeline that has been scrolled. */
  month: string | null
  /** Photographs are shown, whose size can be chosen. */
  hasPhotos: boolean
  /** Buttons of this page. */
  actions: Snippet | null
  /** Takes the whole bar while something is selected. */
  selection: Snippet | null
}>({
  title: '',
  detail: '',
  isHeading: true,
  month: null,
  hasPhotos: false,
  actions: null,
  selection: null,
})
