import { ApiError, callLines } from '../../api.ts'
import type { AdoptionReport } from '../../api-types.ts'

type Line = { state: 'counting' | 'done'; report: AdoptionReport } | { state: 'failed'; message: string }

/** What taking the place over would mean. Throws `ApiError`; an abort passes through. */
export async function planAdoption(
  locationId: string,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (report: AdoptionReport) => void },
): Promise<AdoptionReport> {
  const path = `/storage/locations/${locationId}/adoption/plan`
  for await (const line of callLines<Line>(path, { signal })) {
    if (line.state === 'failed') throw new ApiError(0, line.message)
    if (line.state === 'done') return line.report
    onProgress(line.report)
  }
  throw new ApiError(0, 'The count was cut off. Try again.')
}
