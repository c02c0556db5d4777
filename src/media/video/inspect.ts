/** Runs in a media process. */
import type { InspectedVideo, Tasks } from '../tasks.ts'
import { openVideo } from './input.ts'

/** Reads the index of a video, not its pictures. Throws `MediaError`. */
export async function inspectVideo(input: Tasks['inspect']['in']): Promise<InspectedVideo> {
  const { demuxer, seen } = await openVideo(input.path, input.demuxer)
  await demuxer.close()
  return seen
}
