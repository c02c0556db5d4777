/**
 * The command `ffprobe` (Debian's package `ffmpeg`): an independent reader of films, since it is another
 * version of FFmpeg than the one that Glassine reads with, and nothing of ours interprets what it prints.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { installPackages } from './apt.ts'

const run = promisify(execFile)

export type PrintedStream = {
  codec_type: string
  codec_name?: string
  width?: number
  height?: number
  pix_fmt?: string
  color_transfer?: string
  sample_aspect_ratio?: string
  avg_frame_rate?: string
  disposition: { attached_pic: number }
  side_data_list?: { rotation?: number }[]
}
export type PrintedFilm = { streams: PrintedStream[]; format: { format_name: string; duration?: string } }

/**
 * For `test` options: installs what is missing where that is possible, else gives the reason; throws in CI.
 */
export async function needsFfprobe(): Promise<{ skip: string | false }> {
  if (await hasFfprobe()) return { skip: false }
  if (process.platform === 'linux' && process.getuid?.() === 0) {
    await installPackages('ffmpeg')
    return { skip: false }
  }
  const reason = 'ffprobe is not installed, and only root may install it'
  if (process.env.CI === 'true') throw new Error(`films cannot be compared: ${reason}`)
  return { skip: reason }
}

async function hasFfprobe(): Promise<boolean> {
  try {
    await run('ffprobe', ['-version'])
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** What it prints of a file; null where it can't read it. */
export async function printFilm(path: string): Promise<PrintedFilm | null> {
  const options = ['-v', 'error', '-print_format', 'json', '-show_streams', '-show_format']
  try {
    const { stdout } = await run('ffprobe', [...options, path], { maxBuffer: 64e6 })
    return JSON.parse(stdout) as PrintedFilm
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'number') return null
    throw error
  }
}
