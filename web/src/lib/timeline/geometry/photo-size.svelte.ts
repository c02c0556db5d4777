import { PHOTO_SIZES, type PhotoSize } from './layout.ts'

const KEY = 'glassine.photo-size'

/**
 * How large photographs are drawn, kept in this browser: a phone and a large screen want different things.
 */
export const photoSize = $state<{ choice: PhotoSize }>({ choice: readChoice() })

function readChoice(): PhotoSize {
  const stored = localStorage.getItem(KEY)
  return PHOTO_SIZES.find((size) => size === stored) ?? 'medium'
}

export function choosePhotoSize(choice: PhotoSize): void {
  photoSize.choice = choice
  localStorage.setItem(KEY, choice)
}
