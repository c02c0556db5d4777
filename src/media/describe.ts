/** Runs in a media process. What a file says about itself, read by ExifTool. */
import type { Tags } from 'exiftool-vendored'
import { readTags } from './exif.ts'
import { factsFromTags } from './exif-facts.ts'
import type { TagFacts } from './facts.ts'
import { MediaError } from './media-error.ts'
import type { Tasks } from './tasks.ts'

/** Throws `MediaError` where the file cannot be opened, `AppError` unavailable where there is no Perl. */
export async function describeFile(input: Tasks['describe']['in']): Promise<TagFacts> {
  const tags = await readFileTags(input)
  const sidecar = input.sidecarPath === null ? null : await readSidecar(input.sidecarPath)
  const facts = factsFromTags(tags, sidecar, input.isVideo)
  return input.isHeif ? withContainerRotation(facts, tags) : facts
}

/**
 * Two things are told in words only: the lens, where nothing but the camera maker's number says it, and the time zone
 * that some makers keep among their own notes. Where the maker is known to do so the words are read at once.
 */
async function readFileTags({ path, isWordy, perlPlaces }: Tasks['describe']['in']): Promise<Tags> {
  const tags = await readTags(path, { inWords: isWordy, perlPlaces })
  const isLensNumbered = tags.LensID !== undefined && tags.LensModel === undefined
  const needsWords = tags.TimeZone !== undefined || isLensNumbered
  return needsWords && !isWordy ? readTags(path, { inWords: true, perlPlaces }) : tags
}

/** A sidecar that cannot be read must not keep the photo from being shown: then the file stands alone. */
async function readSidecar(path: string): Promise<Tags | null> {
  try {
    return await readTags(path, { inWords: true })
  } catch (error) {
    if (error instanceof MediaError && !error.transient) return null
    throw error
  }
}

/** HEIF: the container's rotation is what viewers apply; the EXIF orientation is a copy that may be stale. */
function withContainerRotation(facts: TagFacts, tags: Tags): TagFacts {
  // `irot` counts quarter turns.
  const turned = /^rotate (?:90|270)|^[13]$/i.test(String(tags.Rotation ?? ''))
  const { exifImageWidth: width, exifImageHeight: height } = facts
  return turned ? { ...facts, width: height, height: width } : { ...facts, width, height }
}
