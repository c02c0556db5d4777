/** Where the navigation leads, in its order. */

import Archive from '@lucide/svelte/icons/archive'
import Albums from '@lucide/svelte/icons/book-open'
import Account from '@lucide/svelte/icons/circle-user-round'
import Clock from '@lucide/svelte/icons/clock'
import Storage from '@lucide/svelte/icons/hard-drive'
import Heart from '@lucide/svelte/icons/heart'
import Photos from '@lucide/svelte/icons/image'
import Search from '@lucide/svelte/icons/search'
import Trash from '@lucide/svelte/icons/trash-2'
import Users from '@lucide/svelte/icons/users'

export type Place = {
  href: string
  label: string
  icon: typeof Photos
  /** On a phone it stands in the bar at the bottom; the others are behind "More". */
  isOnPhoneBar?: boolean
  startsGroup?: boolean
}

export function placesFor(user: { isAdmin: boolean } | null): Place[] {
  return [
    { href: '/photos', label: 'Photos', icon: Photos, isOnPhoneBar: true },
    { href: '/search', label: 'Search', icon: Search, isOnPhoneBar: true },
    { href: '/albums', label: 'Albums', icon: Albums, isOnPhoneBar: true },
    { href: '/favourites', label: 'Favourites', icon: Heart, startsGroup: true },
    { href: '/recently-added', label: 'Recently added', icon: Clock },
    { href: '/archive', label: 'Archive', icon: Archive },
    { href: '/trash', label: 'Trash', icon: Trash },
    ...(user?.isAdmin
      ? [
          { href: '/storage', label: 'Storage', icon: Storage, startsGroup: true },
          { href: '/users', label: 'Users', icon: Users },
        ]
      : []),
    { href: '/settings', label: 'Account', icon: Account, startsGroup: !user?.isAdmin },
  ]
}

export function isAt(pathname: string, href: string): boolean {
  return pathname === href || pathname.startsWith(`${href}/`)
}
