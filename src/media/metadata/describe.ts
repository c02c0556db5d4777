/** Runs in a media process. What a file says about itself, read by ExifTool. */
import type { Tags } from 'exiftool-vendored'
import type { TagFacts } from '../facts.ts'
import { MediaError } from '../media-error.ts'
import { animationMs } from '../motion/animation.ts'
import { findFilm } from '../motion/find-film.ts'
import type { Tasks } from '../tasks.ts'
import { readTags } from './exif.ts'
import { factsFromTags } from './exif-facts.ts'

/** Throws `MediaError` where the file cannot be opened, `AppError` unavailable where there is no Perl. */
export async function describeFile(input: Tasks['describe']['in']): Promise<Tasks['describe']['out']> {
  const tags = await readTags(input.path, input.perlPlaces)
  const sidecar = input.sidecarPath === null ? null : await readSidecar(input.sidecarPath)
  const facts = factsFromTags(tags, sidecar, input.isVideo)
  return { ...(input.isHeif ? withContainerRotation(facts, tags) : facts), ...motionOf(input, facts, tags) }
}

/** What moves in a picture's file: its own frames, or a film beside it. */
function motionOf({ path, isVideo, mimeType }: Tasks['describe']['in'], facts: TagFacts, tags: Tags) {
  if (isVideo) return { durationMs: facts.durationMs, film: null }
  return { durationMs: animationMs(path, mimeType), film: findFilm(path, tags) }
}

/** A sidecar that cannot be read must not keep the photo from being shown: then the file stands alone. */
async function readSidecar(path: string): Promise<Tags | null> {
  try {
    return await readTags(path)
  } catch (error) {
    if (error instanceof MediaError && !error.transient) return null
    throw error
  }
}

/**
 * What `irot` says (ISO/IEC 23008-12, 6.5.10), as ExifTool words it, and the EXIF orientation of the same.
 */
const CONTAINER_ROTATIONS: Record<string, number> = {
  'Horizontal (normal)': 1,
  'Rotate 90 CW': 6,
  'Rotate 180': 3,
  'Rotate 270 CW': 8,
}

/**
 * HEIF: the container's rotation is what viewers apply; the EXIF orientation is a copy that may be stale.
 * Where the container says nothing, the picture is not turned, and has no orientation.
 */
function withContainerRotation(facts: TagFacts, tags: Tags): TagFacts {
  const orientation = CONTAINER_ROTATIONS[String(tags.Rotation ?? '')] ?? null
  const { exifImageWidth: width, exifImageHeight: height } = facts
  const isTurned = orientation !== null && orientation >= 5
  return { ...facts, orientation, width: isTurned ? height : width, height: isTurned ? width : height }
}
