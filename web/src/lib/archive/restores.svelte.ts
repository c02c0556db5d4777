/** Restores of originals that this page asked for: components that show their state read it anew. */
export const restores = $state({ asked: 0 })
