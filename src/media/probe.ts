import type { MediaFacts } from './facts.ts'
import { formatOf } from './formats.ts'
import { MediaError } from './media-error.ts'
import { type Content, readHead, sniffContent } from './metadata/sniff.ts'
import { DESCRIBE_NEED, decodeNeed } from './processes/decode-need.ts'
import type { MediaTools } from './processes/tools.ts'
import type { InspectedVideo } from './tasks.ts'
import { isWebPlayable } from './video/playable.ts'

/** Longer than ExifTool's own time-out, retry included. */
const SILENCE_MS = 60_000

/**
 * What a local file is and says about itself. Damage inside the file only makes facts null: whether it can be
 * shown is `deriveImages`' question. Throws `MediaError` where there is nothing to tell: an empty file, or
 * content that is no picture or video; `AppError` unavailable where ExifTool cannot run; and what opening the
 * file throws.
 */
export async function probeFile(
  tools: MediaTools,
  path: string,
  options: {
    fileName: string
    owner?: string
    sidecarPath?: string | null
    signal?: AbortSignal | undefined
  },
): Promise<MediaFacts> {
  const { head, size } = await readHead(path)
  if (size === 0) throw new MediaError('The file is empty (0 bytes).')
  const content = contentOf(head, options.fileName)
  const isVideo = content.type === 'VIDEO'
  const run = {
    silenceMs: SILENCE_MS,
    owner: options.owner ?? '',
    need: DESCRIBE_NEED,
    ...(options.signal && { signal: options.signal }),
  }
  const described = await tools.quick.run(
    'describe',
    {
      path,
      sidecarPath: options.sidecarPath ?? null,
      isVideo,
      mimeType: content.mimeType,
      isHeif: content.decodedBy === 'libheif' || content.mimeType === 'image/avif',
      perlPlaces: tools.perlPlaces,
    },
    run,
  )
  const facts: MediaFacts = {
    type: content.type,
    mimeType: content.mimeType,
    decodedBy: content.decodedBy,
    demuxer: content.demuxer,
    ...described,
    fps: null,
    video: null,
  }
  if (!isVideo || content.demuxer === null) return facts
  try {
    const seen = await tools.quick.run(
      'inspect',
      { path, demuxer: content.demuxer },
      { ...run, need: decodeNeed(facts) },
    )
    return withVideo(facts, content, seen)
  } catch (error) {
    // `deriveImages` comes to the same end and tells the owner.
    if (error instanceof MediaError && !error.transient) return facts
    throw error
  }
}

/** By content; by name only where the content tells nothing and the name is that of a RAW format. */
function contentOf(head: Buffer, fileName: string): Content {
  const content = sniffContent(head, fileName)
  if (content !== null) return content
  const claimed = formatOf(fileName)
  const isText = head.every((byte) => byte >= 32 || byte === 9 || byte === 10 || byte === 13)
  if (isText) throw new MediaError('The file holds text, not a picture or a video.')
  if (claimed?.decodedBy === 'embedded-jpeg') return { ...claimed, demuxer: null, container: 'raw' }
  throw new MediaError('The file is not a picture or video of a known format, or its beginning is damaged.')
}

function withVideo(facts: MediaFacts, content: Content, seen: InspectedVideo): MediaFacts {
  return {
    ...facts,
    width: seen.displayWidth,
    height: seen.displayHeight,
    exifImageWidth: seen.width,
    exifImageHeight: seen.height,
    orientation: exifOrientationOf(seen),
    durationMs: seen.durationMs ?? facts.durationMs,
    fps: seen.fps,
    video: {
      codec: seen.codec,
      audioCodec: seen.audioCodec,
      container: content.container,
      isWebPlayable: isWebPlayable(content.container, seen),
      rotation: seen.rotation,
      pixelFormat: seen.pixelFormat,
      isHdr: seen.isHdr,
    },
  }
}

function exifOrientationOf({ rotation, isMirrored }: InspectedVideo): number {
  const orientations: Record<number, number> = isMirrored
    ? { 0: 4, 90: 5, 180: 2, 270: 7 }
    : { 90: 6, 180: 3, 270: 8 }
  return orientations[rotation] ?? 1
}
