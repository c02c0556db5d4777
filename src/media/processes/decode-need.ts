/**
 * What decoding a file may take, estimated from what its header says. An estimate that is too low costs
 * nothing but order: the kernel's limit is what holds (see process-limits.ts).
 */
import type { MediaFacts } from '../facts.ts'
import type { ProcessLimits } from '../process-limits.ts'

export type DecodeNeed = {
  /** Reserved while it runs. */
  memoryBytes: number
  /** The least CPU that the task has at its disposal. */
  cpuSeconds: number
}

const MIB = 2 ** 20
/** A media process with its decoder, and 12 megapixels of JPEG. */
const BASE_BYTES = 160 * MIB
/** Every process may take so much, whatever its file's header says: so ordinary files share processes. */
const LEAST_LIMIT_BYTES = 1024 * MIB

/**
 * Bytes for each pixel as stored, where a decoder needs the whole picture at once: 16 bits a channel, or a
 * copy more.
 */
const BYTES_A_PIXEL: Record<MediaFacts['decodedBy'], number> = {
  sharp: 8,
  // Planes, their RGBA, and the TIFF that sharp reads.
  libheif: 12,
  'embedded-jpeg': 6,
  // Up to 16 pictures that others refer to.
  ffmpeg: 30,
}

/** A second or two for what people take; minutes on a machine that is slow. */
const PICTURE_CPU_SECONDS = 120
/** One draws in a tenth of a second, or was made to draw for hours. */
const VECTOR_CPU_SECONDS = 10
/** 8K on a slow machine: a second a frame. */
const ENCODE_CPU_SECONDS_A_SECOND = 60
const LEAST_ENCODE_CPU_SECONDS = 3_600

/** Reading what a file says about itself. */
export const DESCRIBE_NEED: DecodeNeed = { memoryBytes: BASE_BYTES, cpuSeconds: PICTURE_CPU_SECONDS }

/** Making pictures of it. */
export function decodeNeed(
  facts: Pick<MediaFacts, 'mimeType' | 'decodedBy' | 'width' | 'height'>,
): DecodeNeed {
  const isVector = facts.mimeType === 'image/svg+xml'
  // A vector's pixels are those that we ask for.
  const pixels = isVector ? 0 : (facts.width ?? 0) * (facts.height ?? 0)
  return {
    memoryBytes: BASE_BYTES + pixels * BYTES_A_PIXEL[facts.decodedBy],
    cpuSeconds: isVector ? VECTOR_CPU_SECONDS : PICTURE_CPU_SECONDS,
  }
}

/**
 * Developing a RAW file: its data, three channels of 16 bits and a fourth, the file, and the result twice.
 */
const DEVELOP_BYTES_A_PIXEL = 24

export function developNeed(facts: Pick<MediaFacts, 'width' | 'height'>): DecodeNeed {
  const pixels = (facts.width ?? 0) * (facts.height ?? 0)
  return { memoryBytes: BASE_BYTES + pixels * DEVELOP_BYTES_A_PIXEL, cpuSeconds: PICTURE_CPU_SECONDS }
}

/** Encoding a film. */
export function encodeNeed(facts: Pick<MediaFacts, 'width' | 'height' | 'durationMs'>): DecodeNeed {
  const pixels = (facts.width ?? 0) * (facts.height ?? 0)
  const seconds = (facts.durationMs ?? 0) / 1000
  return {
    // Every thread holds frames of its own.
    memoryBytes: 2 * BASE_BYTES + pixels * 2 * BYTES_A_PIXEL.ffmpeg,
    cpuSeconds: Math.max(LEAST_ENCODE_CPU_SECONDS, Math.ceil(seconds * ENCODE_CPU_SECONDS_A_SECOND)),
  }
}

/**
 * The limits of a process for it: in few sizes, so that idle processes fit the next task. A process is not
 * given another task when half of its CPU is used, so that each has the other half.
 */
export function limitsFor(need: DecodeNeed, mostBytes: number): ProcessLimits {
  let memoryBytes = LEAST_LIMIT_BYTES
  while (memoryBytes < need.memoryBytes) memoryBytes *= 2
  return { memoryBytes: Math.min(memoryBytes, mostBytes), cpuSeconds: 2 * need.cpuSeconds }
}
