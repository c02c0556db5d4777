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

/**
 * A face, or another region, that somebody marked in the file. Fractions of the picture as stored, before its
 * orientation, from the top left corner; they may lie partly outside of it.
 */
export type FaceRegion = {
  name: string | null
  /** `Face`, `Pet` ... as the Metadata Working Group names them. */
  type: string
  left: number
  top: number
  width: number
  height: number
}

/** What else a file says: kept as it is, so that what makes use of it later need not read the file again. */
export type FileDetails = {
  /** Paths of levels with `/` between them, such as `People/Anna`; a `/` in a level is written `|`. */
  tags: string[]
  faces: FaceRegion[]
  /** Who is in it, without a region. */
  people: string[]
  title: string | null
  artist: string | null
  copyright: string | null
  software: string | null
  /** Metres above the sea. */
  altitude: number | null
  /** Degrees clockwise from north, 0 to 360. */
  direction: number | null
  cameraSerial: string | null
  lensSerial: string | null
  /** Pictures of one burst carry the same: what Immich calls `autoStackId`. */
  burstId: string | null
  colorSpace: string | null
  /** Name of the ICC profile, such as `Display P3`. */
  profile: string | null
  /** Of each channel. */
  bitsPerSample: number | null
  /** Millimetres, as if the sensor were 36 mm wide. */
  focalLength35: number | null
  /** In words. */
  flash: string | null
  /** Exposure values. */
  exposureBias: number | null
  exposureProgram: string | null
  meteringMode: string | null
  whiteBalance: string | null
  /** The place by its names. */
  city: string | null
  state: string | null
  country: string | null
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
  /** The film inside the file of a picture: bytes. */
  film: { offset: number; length: number } | null
  /** The largest JPEG that a RAW file carries: ExifTool's name of the tag. */
  embeddedPicture: { tag: string; bytes: number } | null
  details: FileDetails
}

/** What ExifTool contributes; the rest comes from the first bytes and, for videos, from FFmpeg. */
export type TagFacts = Omit<
  MediaFacts,
  'type' | 'mimeType' | 'decodedBy' | 'demuxer' | 'fps' | 'video' | 'film'
>
