/** How each action is called and drawn, wherever it is offered. */
import Archive from '@lucide/svelte/icons/archive'
import Thaw from '@lucide/svelte/icons/archive-restore'
import ArchiveX from '@lucide/svelte/icons/archive-x'
import Cover from '@lucide/svelte/icons/book-image'
import BookPlus from '@lucide/svelte/icons/book-plus'
import BookMinus from '@lucide/svelte/icons/book-x'
import Calendar from '@lucide/svelte/icons/calendar'
import Portrait from '@lucide/svelte/icons/circle-user-round'
import Download from '@lucide/svelte/icons/download'
import Film from '@lucide/svelte/icons/film'
import Heart from '@lucide/svelte/icons/heart'
import Picture from '@lucide/svelte/icons/image-play'
import Pin from '@lucide/svelte/icons/map-pin'
import Description from '@lucide/svelte/icons/pencil-line'
import Refresh from '@lucide/svelte/icons/refresh-cw'
import Restore from '@lucide/svelte/icons/rotate-ccw'
import Star from '@lucide/svelte/icons/star'
import Trash from '@lucide/svelte/icons/trash-2'
import type { MenuItem } from '../../ui/Menu.svelte'
import type { SelectionAction } from './actions.ts'

export const ACTION_WORDS: Record<
  SelectionAction,
  { label: string; icon: typeof Heart; isDanger?: boolean }
> = {
  download: { label: 'Download', icon: Download },
  favourite: { label: 'Favourite', icon: Heart },
  album: { label: 'Add to album', icon: BookPlus },
  remove: { label: 'Remove from album', icon: BookMinus },
  cover: { label: 'Use as album cover', icon: Cover },
  portrait: { label: 'Use as profile picture', icon: Portrait },
  archive: { label: 'Archive', icon: Archive },
  unarchive: { label: 'Move out of the archive', icon: ArchiveX },
  date: { label: 'Change date', icon: Calendar },
  place: { label: 'Change place', icon: Pin },
  description: { label: 'Change description', icon: Description },
  rating: { label: 'Rate', icon: Star },
  'refresh-metadata': { label: 'Read metadata again', icon: Refresh },
  'regenerate-thumbnail': { label: 'Make previews again', icon: Picture },
  'transcode-video': { label: 'Convert the video again', icon: Film },
  trash: { label: 'Move to trash', icon: Trash, isDanger: true },
  restore: { label: 'Restore', icon: Restore },
  'restore-original': { label: 'Restore originals', icon: Thaw },
  delete: { label: 'Delete permanently', icon: Trash, isDanger: true },
}

/** The same as items of a menu. */
export function actionItems(
  actions: readonly SelectionAction[],
  onaction: (action: SelectionAction) => void,
): MenuItem[] {
  return actions.map((action) => ({ ...ACTION_WORDS[action], run: () => onaction(action) }))
}
