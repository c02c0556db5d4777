/**
 * The program of a media process (see process-pool.ts): one task at a time, asked and answered over IPC. Decoders load
 * when first needed: sharp and ExifTool's library 25 MB each, libheif and FFmpeg 80 MB.
 */
import { constants, setPriority } from 'node:os'
import { isAppError } from '../errors.ts'
import { MediaError } from './media-error.ts'
import type { TaskMessage, TaskName, TaskReply, Tasks } from './tasks.ts'

// Whoever waits for an answer from the API comes first when both want the CPU.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.on('disconnect', () => process.exit(0))
process.on('message', (message: TaskMessage) => {
  void perform(message).then(
    (output) => reply({ kind: 'done', output }),
    (error: unknown) => reply(failure(error)),
  )
})

function reply(message: TaskReply): void {
  process.send?.(message)
}

function failure(error: unknown): TaskReply {
  if (error instanceof MediaError) {
    return { kind: 'failed', fault: 'file', message: error.reason, transient: error.transient }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    kind: 'failed',
    fault: isAppError(error, 'unavailable') ? 'setup' : 'program',
    message,
    transient: false,
  }
}

async function perform({ name, input }: TaskMessage): Promise<Tasks[TaskName]['out']> {
  switch (name) {
    case 'describe':
      return (await import('./describe.ts')).describeFile(input)
    case 'image':
      return (await import('./image.ts')).makeImagesFromFile(input)
    case 'heic':
      return (await import('./heic.ts')).makeImagesFromHeic(input)
    case 'raw':
      return (await import('./raw.ts')).makeImagesFromRaw(input)
    case 'frame':
      return (await import('./video-frame.ts')).makeImagesFromFrame(input)
    case 'inspect':
      return (await import('./video-inspect.ts')).inspectVideo(input)
    case 'encode':
      return (await import('./video-encode.ts')).encodeVideo(input, (fraction) =>
        reply({ kind: 'progress', fraction }),
      )
  }
}
