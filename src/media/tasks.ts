/**
 * What the server asks of its media processes: plain data in, plain data out. The originals are opened only
 * there, so a file that crashes, hangs or bloats a decoder takes a media process with it and never the
 * server.
 */
import type { MediaFacts, TagFacts } from './facts.ts'

export type ImageSizes = {
  /** Shortest edges in pixels; nothing is enlarged, and no edge becomes longer than `LONGEST_EDGE_PX`. */
  thumbnailPx: number
  previewPx: number
  /** 1 to 100; from 80 on a preview keeps its colours at full resolution (4:4:4). */
  thumbnailQuality: number
  previewQuality: number
  /** `p3`: what reaches beyond sRGB becomes Display P3, and stays so; `srgb`: everything becomes sRGB. */
  colorspace: Colorspace
}
export type Colorspace = 'p3' | 'srgb'

/** WebP's limit. A panorama of 1,440 x 16,383 pixels takes 70 MB while it is reduced. */
export const LONGEST_EDGE_PX = 16_383

/** Files to write; nothing else is touched. */
export type ImageOutputs = ImageSizes & { thumbnailPath: string; previewPath: string }

export type MadeImages = {
  /** The original as displayed. */
  width: number
  height: number
  thumbnail: { width: number; height: number }
  preview: { width: number; height: number }
  thumbhash: Uint8Array
  /** What a person should know of a file whose pictures show a part of it only; null: it is whole. */
  damage: string | null
}

export type InspectedVideo = {
  codec: string
  audioCodec: string | null
  audioChannels: number
  format: string
  /** As stored. */
  width: number
  height: number
  /** As displayed: turned, with square pixels. */
  displayWidth: number
  displayHeight: number
  /** Clockwise: 0, 90, 180, 270. */
  rotation: number
  /** Flipped upside down before it is turned. */
  isMirrored: boolean
  pixelFormat: string | null
  isHdr: boolean
  /** HD without a word on its colours: players take BT.709, FFmpeg would take BT.601 and shift the greens. */
  isUntaggedHd: boolean
  durationMs: number | null
  fps: number | null
}

export type EncodeSettings = {
  /** The most pixels along the shorter edge. */
  maxShortEdgePx: number
  /** x264's constant rate factor: 18 is near lossless, 28 is coarse. */
  crf: number
  /** x264's preset: `ultrafast` to `veryslow`. */
  preset: string
  threads: number
}

/** Each task's input and output. */
export type Tasks = {
  /** A file that sharp decodes. `orientation`: EXIF, 1 to 8, applied to the pixels as stored. */
  image: { in: { path: string; orientation: number } & ImageOutputs; out: MadeImages }
  /** ExifTool's view of a file and, where there is one, of its XMP sidecar. */
  describe: {
    in: {
      path: string
      sidecarPath: string | null
      isVideo: boolean
      mimeType: string
      /** HEIC, HEIF or AVIF. */
      isHeif: boolean
      perlPlaces: string[] | undefined
    }
    out: TagFacts & Pick<MediaFacts, 'film'>
  }
  /** The picture that a camera put into a RAW file as `tag`. `orientation`: the RAW file's own. */
  raw: {
    in: { path: string; tag: string; orientation: number; isSensorLandscape: boolean } & ImageOutputs
    out: MadeImages
  }
  /** A RAW file's sensor data. `isHalfEnough`: half of its width and height are as much as is shown. */
  develop: {
    in: { path: string; orientation: number; isHalfEnough: boolean } & ImageOutputs
    out: MadeImages
  }
  heic: { in: { path: string } & ImageOutputs; out: MadeImages }
  /** A still from FFmpeg: a representative frame of a video, or the picture of BMP, PSD, JXL, JPEG 2000. */
  frame: { in: { path: string; demuxer: string; what: 'picture' | 'video' } & ImageOutputs; out: MadeImages }
  inspect: { in: { path: string; demuxer: string }; out: InspectedVideo }
  encode: {
    in: { path: string; demuxer: string; outPath: string; settings: EncodeSettings }
    out: { width: number; height: number }
  }
}
export type TaskName = keyof Tasks

export type TaskMessage = { [N in TaskName]: { name: N; input: Tasks[N]['in'] } }[TaskName]
export type TaskReply =
  | { kind: 'progress'; fraction: number }
  /** `cpuSeconds`: of the process, since it began. */
  | { kind: 'done'; output: Tasks[TaskName]['out']; cpuSeconds: number }
  /**
   * `file`, `exhausted`: `message` is for its owner. `setup`: the machine lacks something. `program`: a fault
   * of ours.
   */
  | { kind: 'failed'; fault: 'file' | 'exhausted' | 'setup' | 'program'; message: string; cpuSeconds: number }
