import type { DecodedBy, MediaType } from './formats.ts'

/** What a video's streams are, as the demuxer sees them. */
export type VideoFacts = {
  /** FFmpeg's short names: `h264`, `hevc`, `vp9`, `mpeg4`, `mjpeg` ... */
  codec: string
  /** Null: the file has no sound. */
  audioCodec: string | null
  /** `mp4`, `mov`, `3gp`, `webm`, `matroska`, `avi`, `mpegts` ... by content, not by name. */
  container: string
  /** True where browsers play the original: see `isWebPlayable` in video-playable.ts. */
  isWebPlayable: boolean
  /** Clockwise turn for display: 0, 90, 180, 270. */
  rotation: number
  /** FFmpeg's name, such as `yuv420p10le`. */
  pixelFormat: string | null
  /** True where the transfer curve is PQ or HLG. */
  isHdr: boolean
}

/** What is known about a file. Everything that the file does not say, or says impossibly, is null. */
export type MediaFacts = {
  type: MediaType
  /** By content where the first bytes are known, else by name. */
  mimeType: string
  decodedBy: DecodedBy
  /** FFmpeg's demuxer for it; null where FFmpeg is not asked. */
  demuxer: string | null
  /** As displayed, in pixels, after orientation; never 0. */
  width: number | null
  height: number | null
  /** As stored, before orientation. */
  exifImageWidth: number | null
  exifImageHeight: number | null
  /** EXIF orientation, 1 to 8. */
  orientation: number | null
  /** The instant. Where the zone is unknown, the wall clock read as UTC. */
  takenAt: Date | null
  /** The wall clock of the place: `YYYY-MM-DDTHH:mm:ss.SSS`. */
  localDateTime: string | null
  /** IANA name or `UTC+02:00`; null: unknown. */
  timeZone: string | null
  modifiedAt: Date | null
  make: string | null
  model: string | null
  lensModel: string | null
  fNumber: number | null
  /** Millimetres. */
  focalLength: number | null
  iso: number | null
  /** Seconds as a photographer writes them: `1/250`, `2.5`. */
  exposureTime: string | null
  latitude: number | null
  longitude: number | null
  description: string | null
  /** -1 (rejected) or 1 to 5; null: not rated. */
  rating: number | null
  projectionType: string | null
  durationMs: number | null
  fps: number | null
  video: VideoFacts | null
  /** Apple's ContentIdentifier: a live photo's picture and film carry the same one. */
  livePhotoId: string | null
  /** A film inside the picture file; `bytesFromEnd` is where it starts, counted from the end, where the file says so. */
  motionPhoto: { bytesFromEnd: number | null } | null
  /** The largest JPEG that a RAW file carries: ExifTool's name of the tag. */
  embeddedPicture: { tag: string; bytes: number } | null
}

/** What ExifTool contributes; the rest comes from the first bytes and, for videos, from FFmpeg. */
export type TagFacts = Omit<MediaFacts, 'type' | 'mimeType' | 'decodedBy' | 'demuxer' | 'fps' | 'video'>
