import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs, { constants } from 'node:fs'
import { promisify } from 'node:util'
import { AppError } from './errors.ts'

// Numbers, and not FileHandles, which are closed when nobody refers to them any more.
const open = promisify(fs.open)
const close = promisify(fs.close)

/**
 * Locks of the kernel on files. They hold between containers, whose processes do not see one another, and
 * end with the last process that has the file open, however it ends. A copy of a file is another file, whose
 * lock is free.
 */
export type FileLock = {
  /** A child that gets this descriptor holds the lock as well, and keeps it when we release it. */
  descriptor: number
  release(): Promise<void>
}

type Kind = 'shared' | 'exclusive'
/** Ends the sentence about a lock that cannot be had: `or set database.url to a PostgreSQL of yours`. */
type Otherwise = string

/**
 * The lock of a file that is there, or null where others hold one that excludes it. Does not wait.
 * @throws AppError unavailable where files cannot be locked
 */
export async function tryLock(path: string, kind: Kind, otherwise: Otherwise): Promise<FileLock | null> {
  const isMacOs = process.platform === 'darwin'
  const descriptor = isMacOs ? await openLocked(path, kind) : await open(path, 'r+')
  if (descriptor === null) return null
  const release = () => close(descriptor)
  try {
    if (isMacOs || (await flock(path, descriptor, { kind, otherwise }))) return { descriptor, release }
  } catch (error) {
    await release()
    throw error
  }
  await release()
  return null
}

/**
 * Node has no call for it. The program locks what we have opened, not a file that it opens itself, so the
 * lock stays when it ends.
 */
async function flock(
  path: string,
  descriptor: number,
  { kind, otherwise }: { kind: Kind; otherwise: Otherwise },
): Promise<boolean> {
  const child = spawn('flock', ['-n', kind === 'shared' ? '-s' : '-x', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
  })
  let said = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const [code] = await once(child, 'close').catch((cause) => {
    throw new AppError(
      'unavailable',
      `The program flock, which keeps others from ${path} meanwhile, cannot be run. Install util-linux, ${otherwise}.`,
      { cause },
    )
  })
  if (code === 0 || code === 1) return code === 0
  throw new AppError(
    'unavailable',
    `Its file system cannot lock ${path} (${said.trim()}), so nothing would keep others away meanwhile. ` +
      `Take a folder on a disk of this machine, ${otherwise}.`,
  )
}

const MACOS_FLAGS = { shared: 0x10, exclusive: 0x20 }
const MACOS_NONBLOCK = 0x4

/** macOS has no program `flock`, but locks as it opens. */
async function openLocked(path: string, kind: Kind): Promise<number | null> {
  return open(path, constants.O_RDWR | MACOS_NONBLOCK | MACOS_FLAGS[kind]).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EAGAIN') return null
      throw error
    },
  )
}
