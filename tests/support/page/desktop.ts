import { copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mediaFolder } from '../files/media.ts'

/** Width / height as displayed; two of them lie turned in their files (EXIF orientations 6 and 8). */
export const PICKED = {
  'Landscape_1.jpg': 1800 / 1200,
  'Landscape_6.jpg': 1800 / 1200,
  'Portrait_8.jpg': 1200 / 1800,
  'IMG_2927.HEIC': 3024 / 4032,
}
/** 3.6 s of H.264 at 1280 x 720. */
export const VIDEO = 'Issue 515 (java).mp4'

/**
 * What lies on this person's desktop: real files, a copy, a broken one, an empty one, one that is no photo, a
 * folder.
 */
export async function fillDesktop(desktop: string): Promise<string> {
  await mkdir(join(desktop, 'Holiday', 'Arezzo'), { recursive: true })
  const copy = (from: string, to: string) => copyFile(join(mediaFolder(), from), join(desktop, to))
  for (const name of ['Landscape_1.jpg', 'Landscape_6.jpg', 'Portrait_8.jpg'])
    await copy(`orientation/${name}`, name)
  await copy('metadata-extractor/heic/IMG_2927.HEIC', 'IMG_2927.HEIC')
  await copy(`metadata-extractor/mp4/${VIDEO}`, VIDEO)
  await copy('orientation/Landscape_1.jpg', 'Landscape_1 again.jpg')
  await writeFile(join(desktop, 'broken.jpg'), Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'))
  await writeFile(join(desktop, 'empty.jpg'), '')
  await writeFile(join(desktop, 'notes.txt'), 'Buy film.')
  for (const [from, to] of [
    ['exif-samples/jpg/exif-org', 'Holiday'],
    ['exif-samples/jpg/gps', 'Holiday/Arezzo'],
  ] as const) {
    for (const name of await readdir(join(mediaFolder(), from)))
      await copy(`${from}/${name}`, `${to}/${name}`)
  }
  return desktop
}
