import { writeCatalogue } from '../../library/catalogue/write-catalogue.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function writeCatalogueJob({ db, placement }: JobParts): JobHandlers['write-catalogue'] {
  return async (_payload, { signal }) => {
    await writeCatalogue({ db, placement }, { signal })
  }
}
