/** What a 12-megapixel JPEG costs from the file to facts, thumbhash, thumbnail and preview. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type OverlayOptions } from 'sharp'
import { silentLog } from '../src/log.ts'
import { deriveImages } from '../src/media/derive.ts'
import { probeFile } from '../src/media/probe.ts'
import { openMediaTools } from '../src/media/processes/tools.ts'
import { cpuSecondsOf, peakRssMbOf } from './processes.ts'
import type { BenchRow } from './report.ts'

const WIDTH = 4000
const HEIGHT = 3000
const ROUNDS = 6
const PHOTOS_PER_ROUND = 4

export async function benchMedia(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-bench-media-'))
  const limit = fork(new URL('limits/bare-sharp.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const tools = openMediaTools({ log: silentLog, threads: 1 })
  try {
    const photo = join(folder, 'photo.jpg')
    await makePhoto(photo)
    const ours = async () => {
      const facts = await probeFile(tools, photo, { fileName: 'photo.jpg' })
      await deriveImages(tools, photo, facts, folder, { thumbnailPx: 250, previewPx: 1440 })
    }
    const bare = () => askLimit(limit, photo, folder)
    // Decoders are loaded and compiled first: a server does that once for thousands of photos.
    await ours()
    await bare()

    const spent = { ours: 0, limit: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      spent.ours += await cpuOf(process.pid, [limit.pid!], ours)
      spent.limit += await cpuOf(limit.pid!, [], bare)
    }
    const photos = ROUNDS * PHOTOS_PER_ROUND
    const peaks = await Promise.all(tools.processIds().map(peakRssMbOf))
    return [
      {
        name: 'media: CPU per 12 MP JPEG',
        ours: (spent.ours / photos) * 1000,
        limit: (spent.limit / photos) * 1000,
        ratio: spent.ours / spent.limit,
        target: { ratioAtMost: 1.3 },
        unit: 'CPU-ms',
        cpuSeconds: spent.ours,
        peakRssMb: Math.max(...peaks),
        note: `metadata, thumbhash, thumbnail, preview of ${photos} photos, ExifTool and IPC included; limit: sharp decoding once to 1440 and deriving the rest; peak: the media process`,
      },
    ]
  } finally {
    limit.kill()
    await tools.close()
    await rm(folder, { recursive: true })
  }
}

/** CPU-seconds of a process tree over some photos. */
async function cpuOf(root: number, except: number[], work: () => Promise<void>): Promise<number> {
  const before = await cpuSecondsOf(root, except)
  for (let photo = 0; photo < PHOTOS_PER_ROUND; photo++) await work()
  return (await cpuSecondsOf(root, except)) - before
}

async function askLimit(limit: ChildProcess, path: string, folder: string): Promise<void> {
  limit.send({ path, folder })
  await once(limit, 'message')
}

/** Clouds of noise at five scales, with a camera's EXIF: compresses like a photo, to about 4 MB. */
export async function makePhoto(path: string): Promise<void> {
  const layers: OverlayOptions[] = []
  for (const [scale, sigma] of [
    [500, 60],
    [100, 40],
    [20, 25],
    [4, 16],
    [1, 5],
  ] as const) {
    const noise = { type: 'gaussian', mean: 128, sigma } as const
    const size = { width: Math.ceil(WIDTH / scale), height: Math.ceil(HEIGHT / scale) }
    const input = await sharp({ create: { ...size, channels: 3, background: '#808080', noise } })
      .resize(WIDTH, HEIGHT, { fit: 'fill', kernel: 'cubic' })
      .png({ compressionLevel: 0 })
      .toBuffer()
    layers.push({ input, blend: 'soft-light' })
  }
  await sharp({ create: { width: WIDTH, height: HEIGHT, channels: 3, background: '#7a8a96' } })
    .composite(layers)
    .jpeg({ quality: 92 })
    .withExif({
      IFD0: { Make: 'Glassine', Model: 'Bench', Orientation: '1' },
      IFD2: {
        DateTimeOriginal: '2024:06:01 12:34:56',
        OffsetTimeOriginal: '+02:00',
        FNumber: '18/10',
        ISOSpeedRatings: '100',
      },
      IFD3: {
        GPSLatitudeRef: 'N',
        GPSLatitude: '52/1 31/1 12/1',
        GPSLongitudeRef: 'E',
        GPSLongitude: '13/1 24/1 18/1',
      },
    })
    .toFile(path)
}
