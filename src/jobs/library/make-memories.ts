import { makeMemories, tidyMemories } from '../../library/memories/make-memories.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function makeMemoriesJob({ db, log }: JobParts): JobHandlers['make-memories'] {
  return async () => {
    const [made, forgotten] = [await makeMemories(db), await tidyMemories(db)]
    if (made + forgotten > 0) log.info({ made, forgotten }, 'memories were made or forgotten')
  }
}
