/**
 * What a photo's processing can't cost less than: sharp decodes it once to 1440 pixels and derives preview,
 * thumbnail and thumbhash from those. No metadata, no orientation, no other format, no process boundary.
 *
 * `fork('bare-sharp.ts')`; told a path and a folder, it answers when it is done.
 */
import { join } from 'node:path'
import sharp from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'

sharp.concurrency(1)
sharp.cache(false)

async function derive(path: string, folder: string): Promise<void> {
  const { data, info } = await sharp(path)
    .resize(1440, 1440, { fit: 'outside', withoutEnlargement: true })
    .raw()
    .toBuffer({ resolveWithObject: true })
  const raw = { width: info.width, height: info.height, channels: info.channels }
  const small = sharp(data, { raw }).resize(100, 100, { fit: 'inside' }).ensureAlpha().raw()
  const [, , tiny] = await Promise.all([
    sharp(data, { raw })
      .jpeg({ quality: 80, chromaSubsampling: '4:4:4' })
      .toFile(join(folder, 'preview.jpg')),
    sharp(data, { raw })
      .resize(250, 250, { fit: 'outside' })
      .webp({ quality: 80 })
      .toFile(join(folder, 'thumbnail.webp')),
    small.toBuffer({ resolveWithObject: true }),
  ])
  rgbaToThumbHash(tiny.info.width, tiny.info.height, tiny.data)
}

process.on('message', ({ path, folder }: { path: string; folder: string }) => {
  void derive(path, folder).then(() => process.send?.('done'))
})
process.on('disconnect', () => process.exit())
