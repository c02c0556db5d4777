import type { Mutation } from './mutation.ts'
import { ofCampaigns } from './of-campaigns.ts'
import { ofCollections } from './of-collections.ts'
import { ofDatabase } from './of-database.ts'
import { ofLibrary } from './of-library.ts'
import { ofLocations } from './of-locations.ts'
import { ofProofs } from './of-proofs.ts'
import { ofRemovals } from './of-removals.ts'
import { ofStorage } from './of-storage.ts'

/** All mistakes that the suite is known to notice. */
export const MUTATIONS: readonly Mutation[] = [
  ...ofCampaigns,
  ...ofCollections,
  ...ofDatabase,
  ...ofProofs,
  ...ofRemovals,
  ...ofLocations,
  ...ofStorage,
  ...ofLibrary,
]
