import type { Mutation } from './mutation.ts'

const END = 'src/placement/migration/end-object.ts'
const CAMPAIGN = 'tests/placement/migration/campaign.test.ts'

/** What a campaign looks at before it goes on. */
export const ofCampaigns: Mutation[] = [
  {
    name: 'a-campaign-reclaims-without-proof',
    file: END,
    changes: [
      {
        from: 'const { copies, missing } = await proveCopies(placement, objectId, stays, { signal })',
        to: 'const { copies, missing }: Awaited<ReturnType<typeof proveCopies>> = { copies: [], missing: [] }',
      },
    ],
    failing: [
      {
        file: CAMPAIGN,
        name: 'reclaim looks at the new copy first: where it is wrong, both are kept, and it is made anew',
      },
    ],
    why: 'What removes the bytes would look, too; but the old copy would belong nowhere, and nothing would make the new one anew.',
  },
  {
    name: 'a-campaign-rolls-back-unseen',
    file: END,
    changes: [
      {
        from: 'const { copies, missing } = await proveCopies(placement, objectId, belongedAt, { signal })',
        to: 'const { copies, missing }: Awaited<ReturnType<typeof proveCopies>> = { copies: [], missing: [] }',
      },
    ],
    failing: [
      {
        file: CAMPAIGN,
        name: 'peer fault 16: a rollback looks at the old bytes first: where they are wrong, both are kept, and they are made anew',
      },
    ],
    why: 'A peer restored paths without looking whether the old bytes were there.',
  },
  {
    name: 'a-campaign-takes-what-lies-at-the-target-for-its-copy',
    file: 'src/placement/migration/prove-copies.ts',
    changes: [
      {
        from: 'const isFresh = since !== undefined && replica.verifiedAt !== null && replica.verifiedAt >= since',
        to: 'const isFresh = since !== undefined',
      },
    ],
    failing: [
      {
        file: CAMPAIGN,
        name: 'peer fault 3: what lies at the target already counts for nothing before it was looked at',
      },
    ],
    why: 'A truncated file at the target was taken for the copy, and the good one was deleted.',
  },
  {
    name: 'a-rollback-goes-on-reclaiming',
    file: 'src/placement/migration/run-campaign.ts',
    changes: [{ from: 'run: withoutCopy(returnOrReclaim)', to: 'run: withoutCopy(reclaimObject)' }],
    failing: [
      {
        file: 'tests/placement/migration/rollback-while-reclaiming.test.ts',
        name: 'what is put off after the rollback was asked for does not wait, either',
      },
    ],
    why: 'Where a hold or a lock keeps the old copies, all objects wait in reclaim at once.',
  },
]
