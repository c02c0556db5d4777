/** The names of the colours behind a user's initials, as Immich's clients draw them. */
export const AVATAR_COLORS = [
  'primary',
  'pink',
  'red',
  'yellow',
  'blue',
  'green',
  'purple',
  'orange',
  'gray',
  'amber',
] as const
export type AvatarColor = (typeof AVATAR_COLORS)[number]
