/** Errors of libraries that are known by their text alone: the libraries' present texts, provoked. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ExifTool } from 'exiftool-vendored'
import sharp from 'sharp'
import { isUnfinished } from '../../src/media/metadata/exif.ts'
import { complaintOf } from '../../src/media/pictures/image.ts'

const folder = await mkdtemp(join(tmpdir(), 'glassine-errors-'))
after(() => rm(folder, { recursive: true, force: true }))

const thrownBy = (work: Promise<unknown>) =>
  work.then(
    () => assert.fail('nothing was thrown'),
    (error: unknown) => error,
  )

test('sharp: what is no picture, by path and in memory', async () => {
  const path = join(folder, 'text.jpg')
  await writeFile(path, 'no picture')
  assert.equal(complaintOf(await thrownBy(sharp(path).metadata())), 'no-picture')
  assert.equal(complaintOf(await thrownBy(sharp(Buffer.from('no picture')).metadata())), 'no-picture')
  const gone = await thrownBy(sharp(join(folder, 'unsupported image format: timeout.jpg')).metadata())
  assert.equal(complaintOf(gone), 'other')
})

test('sharp: what takes too long', async () => {
  const endless = sharp({ create: { width: 12_000, height: 12_000, channels: 3, background: '#345' } })
    .median(31)
    .timeout({ seconds: 1 })
    .raw()
    .toBuffer()
  assert.equal(complaintOf(await thrownBy(endless)), 'too-slow')
})

/** Answers the first request, which asks for the version, and does this at the next. */
async function exifToolThat(act: string): Promise<ExifTool> {
  const path = join(folder, 'exiftool.sh')
  const lines = `n=0
while read -r line; do
  case "$line" in
    -execute*) n=$((n + 1)); if [ $n = 1 ]; then echo 13.0; echo '{ready}'; else ${act}; fi ;;
  esac
done`
  await writeFile(path, lines)
  return new ExifTool({
    maxProcs: 1,
    taskTimeoutMillis: 3_000,
    taskRetries: 0,
    checkPerl: false,
    processFactory: () => spawn('/bin/sh', [path], { stdio: 'pipe' }),
  })
}

test('ExifTool: a process that is killed, ends or hangs has said nothing of the file', async () => {
  for (const act of ['kill -9 $$', 'exit 0', 'exec sleep 1000']) {
    const tool = await exifToolThat(act)
    const error = await thrownBy(tool.read(join(folder, 'text.jpg')))
    assert.ok(isUnfinished(error), `${act}: ${error}`)
    await tool.end(false)
  }
})

test('ExifTool: a refusal of a file is one, whatever the file is called', async () => {
  const tool = new ExifTool({ maxProcs: 1, checkPerl: false })
  const error = await thrownBy(
    tool.extractBinaryTag('PreviewImage', join(folder, 'ended, killed.jpg'), join(folder, 'out')),
  )
  assert.ok(!isUnfinished(error), String(error))
  await tool.end()
})
