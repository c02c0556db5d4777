/**
 * The states of an object within a campaign, and the moves between them. Pure: no database, no bytes. The
 * database enforces the same table (`guard_campaign_object`).
 *
 * | state | belongs at | meaning |
 * | --- | --- | --- |
 * | pending | as before | waits for its turn |
 * | unfit | as before | can't move, and `cause` says why |
 * | moving | both | is copied and proven |
 * | failed | as before | could not be copied or proven; tried again when asked |
 * | held | both | copied, proven and read from the new place; the old copy is kept |
 * | reclaiming | new | the old copy is given up |
 * | reclaimed | new | the old copy is gone |
 * | returning | both, then as before | the old copy is proven, and the new one given up |
 * | returned | as before | rolled back |
 * | kept | both | the old or the new copy could not be given up, and `cause` says why |
 * | gone | nowhere | was deleted meanwhile |
 */
export const OBJECT_MOVES = {
  begin: { from: ['pending'], to: 'moving' },
  refuse: { from: ['pending', 'moving'], to: 'unfit' },
  proven: { from: ['moving'], to: 'held' },
  fail: { from: ['moving', 'returning'], to: 'failed' },
  retry: { from: ['unfit', 'failed'], to: 'pending' },
  'hold-again': { from: ['kept'], to: 'held' },
  reclaim: { from: ['held'], to: 'reclaiming' },
  freed: { from: ['reclaiming'], to: 'reclaimed' },
  keep: { from: ['reclaiming', 'returning'], to: 'kept' },
  return: { from: ['moving', 'held', 'reclaiming', 'kept'], to: 'returning' },
  returned: { from: ['returning'], to: 'returned' },
  rehearsed: { from: ['returning'], to: 'pending' },
  deleted: {
    from: ['pending', 'moving', 'failed', 'held', 'reclaiming', 'returning', 'kept'],
    to: 'gone',
  },
} as const satisfies Record<string, { from: readonly CampaignObjectState[]; to: CampaignObjectState }>

export type ObjectMove = keyof typeof OBJECT_MOVES

export const CAMPAIGN_OBJECT_STATES = [
  'pending',
  'unfit',
  'moving',
  'failed',
  'held',
  'reclaiming',
  'reclaimed',
  'returning',
  'returned',
  'kept',
  'gone',
] as const
export type CampaignObjectState = (typeof CAMPAIGN_OBJECT_STATES)[number]

/** Null where the move is not allowed from there. */
export function afterMove(state: CampaignObjectState, move: ObjectMove): CampaignObjectState | null {
  const { from, to } = OBJECT_MOVES[move]
  return (from as readonly string[]).includes(state) ? to : null
}

/** Where an object belongs that a campaign takes from some locations to others. */
export type Way = { fromIds: readonly string[]; toIds: readonly string[] }

/** Once it is moved: the new places first, and of the old ones those that it does not leave. */
export function placesAfter(before: readonly string[], { fromIds, toIds }: Way): string[] {
  const stays = before.filter((id) => !fromIds.includes(id) && !toIds.includes(id))
  return [...toIds, ...stays]
}

/** While both copies are kept. */
export function placesMeanwhile(before: readonly string[], { toIds }: Way): string[] {
  return [...before, ...toIds.filter((id) => !before.includes(id))]
}
