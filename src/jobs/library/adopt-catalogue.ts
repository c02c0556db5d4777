import { adoptCatalogue } from '../../library/catalogue/adoption/adopt-catalogue.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function adoptCatalogueJob({ db, placement }: JobParts): JobHandlers['adopt-catalogue'] {
  return async (_payload, { signal }) => {
    await adoptCatalogue({ db, placement }, { signal })
  }
}
