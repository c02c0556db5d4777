/** What can be done to photographs, from the selection bar, by key and in the viewer. */
export type SelectionAction =
  | 'download'
  | 'favourite'
  | 'album'
  | 'remove'
  | 'trash'
  | 'restore'
  | 'delete'
  | 'unarchive'
