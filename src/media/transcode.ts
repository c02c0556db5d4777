import { rename, rm } from 'node:fs/promises'
import type { MediaFacts } from './facts.ts'
import { MediaError } from './media-error.ts'
import { encodeNeed } from './processes/decode-need.ts'
import type { MediaTools } from './processes/tools.ts'
import type { EncodeSettings } from './tasks.ts'

export type TranscodeOptions = {
  /** Shorter edge in pixels; 720 is what Immich makes. */
  maxShortEdgePx?: number
  crf?: number
  preset?: string
  /** Whose film it is: owners take turns. */
  owner?: string
  signal?: AbortSignal
  /** 0 to 1. */
  onProgress?: (fraction: number) => void
}

/** A frame of 8K takes a second on a slow machine; minutes without any mean that it hangs. */
const SILENCE_MS = 180_000

/**
 * Writes an MP4 (H.264 8 bits 4:2:0, AAC stereo, index first) that every browser plays. A film that already
 * is such H.264 is copied, not encoded again. `outPath` appears whole or not at all. Throws `MediaError`, or
 * the signal's reason.
 */
export async function transcodeVideo(
  tools: MediaTools,
  path: string,
  facts: MediaFacts,
  outPath: string,
  options: TranscodeOptions = {},
): Promise<{ contentType: 'video/mp4'; width: number; height: number }> {
  if (facts.type !== 'VIDEO' || facts.demuxer === null || facts.video === null) {
    throw new MediaError('The video cannot be read: it is damaged or of an unknown format.')
  }
  const settings: EncodeSettings = {
    maxShortEdgePx: options.maxShortEdgePx ?? 720,
    crf: options.crf ?? 23,
    preset: options.preset ?? 'veryfast',
    threads: tools.encodeThreads,
  }
  const partPath = `${outPath}.part`
  try {
    const size = await tools.slow.run(
      'encode',
      { path, demuxer: facts.demuxer, outPath: partPath, settings },
      {
        silenceMs: SILENCE_MS,
        owner: options.owner ?? '',
        need: encodeNeed(facts),
        ...(options.signal && { signal: options.signal }),
        ...(options.onProgress && { onProgress: options.onProgress }),
      },
    )
    await rename(partPath, outPath)
    return { contentType: 'video/mp4', ...size }
  } catch (error) {
    await rm(partPath, { force: true })
    throw error
  }
}
