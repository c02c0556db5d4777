import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { MediaError } from '../../src/media/media-error.ts'
import { plainWords } from '../../src/media/plain-words.ts'
import { makeDng } from '../support/files/make-dng.ts'
import { makeVideo } from '../support/files/make-video.ts'
import { mediaTestBench } from '../support/files/media-tools.ts'

const bench = await mediaTestBench()

async function save(name: string, content: Buffer): Promise<string> {
  const path = join(bench.folder, name)
  await writeFile(path, content)
  return path
}

const NOISE = { type: 'gaussian' as const, mean: 128, sigma: 40 }
const noise = () =>
  sharp({ create: { width: 1_600, height: 1_200, channels: 3, background: '#777', noise: NOISE } })
/** A photo of a table before a white wall: noise above, plain below. */
const plainBelow = () =>
  noise().composite([
    {
      input: { create: { width: 1_600, height: 900, channels: 3, background: '#ffffff' } },
      left: 0,
      top: 300,
    },
  ])

test('a photo without its last two bytes is shown whole, also where its lower part is plain', async () => {
  for (const [name, picture] of Object.entries({ plain: plainBelow(), noise: noise() })) {
    for (const progressive of [false, true]) {
      const whole = await picture.clone().jpeg({ quality: 80, progressive }).toBuffer()
      const intact = await bench.derive(await save('whole.jpg', whole))
      assert.equal(intact.damage, null, name)
      const made = await bench.derive(await save('cut.jpg', whole.subarray(0, -2)))
      assert.deepEqual([made.width, made.height], [1_600, 1_200], name)
      const [seen, expected] = await Promise.all(
        [made, intact].map(({ preview }) => sharp(preview.path).raw().toBuffer()),
      )
      assert.ok(seen!.equals(expected!), `${name}: the same picture`)
    }
  }
})

test('a photo that is cut anywhere is shown as far as it can be decoded, and says so', async () => {
  const whole = await noise().jpeg({ quality: 80 }).toBuffer()
  for (const fraction of [0.8, 0.3, 0.05]) {
    const path = await save(`cut-${fraction}.jpg`, whole.subarray(0, Math.floor(whole.length * fraction)))
    const made = await bench.derive(path)
    assert.deepEqual([made.width, made.height], [1_600, 1_200])
    assert.equal(made.damage, 'The picture is damaged. What can be decoded of it is shown.')
    const rows = Math.floor(made.preview.height * fraction * 0.9)
    const shown = await sharp(made.preview.path)
      .extract({ left: 0, top: 0, width: 1_600, height: rows })
      .png()
      .toBuffer()
    const upper = await sharp(shown).stats()
    assert.ok(upper.channels[0]!.stdev > 20, `${fraction}: what is there is seen`)
  }
  await assert.rejects(bench.derive(await save('head.jpg', whole.subarray(0, 300))), MediaError)
})

test('what is said of a file that cannot be shown: plain words, the right kind, no path of this machine', async () => {
  const folder = join(bench.folder, 'a folder, with blanks')
  await mkdir(folder, { recursive: true })
  const bitmap = join(bench.folder, 'still.bmp')
  await makeVideo(bitmap, { seconds: 0.04, width: 64, height: 64, codec: 'bmp', filters: 'format=bgr24' })
  const jpegXl = join(bench.folder, 'still.jxl')
  await makeVideo(jpegXl, { seconds: 0.04, width: 64, height: 64, codec: 'libjxl', filters: 'format=rgb24' })
  const cases: Record<string, Buffer> = {
    'cut.bmp': Buffer.concat([Buffer.from('BM'), Buffer.alloc(60, 1)]),
    'bad.psd': Buffer.from('8BPS\0\x01garbage'),
    'bad.jxl': Buffer.concat([Buffer.from([0xff, 0x0a]), Buffer.alloc(300, 7)]),
    'bad.jp2': Buffer.concat([Buffer.from([0xff, 0x4f, 0xff, 0x51]), Buffer.alloc(300, 7)]),
    'bad.gif': Buffer.from('GIF89a\x10\0\x10\0\0\0\0garbage', 'latin1'),
    'bad.tiff': Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), Buffer.alloc(90, 9)]),
    'bad.png': Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(100)]),
    'bad.svg': Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><g></svg>'),
    'bad.heic': Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x20meta', 'latin1'),
    'bad.dng': makeDng(Buffer.alloc(500), { width: 6_000, height: 4_000, orientation: 1 }),
    'empty.dng': Buffer.concat([Buffer.from('II*\0\x08\0\0\0', 'latin1'), Buffer.alloc(90)]),
    'bad.webm': Buffer.concat([
      Buffer.from([0x1a, 0x45, 0xdf, 0xa3]),
      Buffer.from('webm'),
      Buffer.alloc(90, 5),
    ]),
  }
  for (const [name, content] of Object.entries(cases)) {
    const path = join(folder, name)
    await writeFile(path, content)
    await assert.rejects(bench.derive(path), (error: Error) => {
      assert.ok(error instanceof MediaError, `${name}: ${String(error)}`)
      const { reason } = error
      assert.doesNotMatch(reason, /\/|\\|\n|a folder|glassine-media-test/, `${name}: ${reason}`)
      if (name.endsWith('.webm')) assert.doesNotMatch(reason, /picture (is|cannot)/, reason)
      else assert.doesNotMatch(reason.replace('picture or video', 'file'), /video/, `${name}: ${reason}`)
      return true
    })
  }
})

test('words of a library become plain ones', () => {
  const path = "/srv/Our Photos/media/it's/7.jpg"
  const cases: [said: string, plain: string][] = [
    [`Error: File not found - ${path}`, 'Error: File not found - the file'],
    [`${path}.embedded: unable to open for write\nunix error`, 'the file: unable to open for write'],
    [`ENOENT: no such file or directory, open '${path}'`, 'ENOENT: no such file or directory, open the file'],
    ['Unable to load /usr/lib/x.so: gone', 'Unable to load the file: gone'],
    ['Invalid input: Unspecified: bad box\\n\\nmore', 'Invalid input: Unspecified: bad box'],
    ['1/250 and a/b stay', '1/250 and a/b stay'],
    ['\n  VipsJpeg: premature end \n', 'VipsJpeg: premature end'],
  ]
  for (const [said, plain] of cases) assert.equal(plainWords(said, [path]), plain)
})
