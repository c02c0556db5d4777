/** Restores of originals that this page asked for: whoever shows how they stand reads anew. */
export const restores = $state({ asked: 0 })
