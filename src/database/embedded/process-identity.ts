import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * A process that runs now. `startedAt` is opaque; with the pid it names one process for ever, since pids are
 * reused.
 */
export type RunningProcess = { pid: number; startedAt: string }

/**
 * The process of that pid, or null when there is none or it is a zombie. A pid alone proves nothing: in
 * containers the same small numbers come back after every restart.
 */
export async function findProcess(pid: number): Promise<RunningProcess | null> {
  if (!Number.isInteger(pid) || pid <= 0 || !isSignalable(pid)) return null
  return process.platform === 'linux' ? readProc(pid) : readPs(pid)
}

function isSignalable(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** /proc/<pid>/stat, proc(5): the state is field 3, the start time in clock ticks since boot field 22. */
async function readProc(pid: number): Promise<RunningProcess | null> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    // The name in field 2 is in parentheses and may itself hold spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return null
    return { pid, startedAt: fields[19] ?? '' }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

async function readPs(pid: number): Promise<RunningProcess | null> {
  try {
    const { stdout } = await run('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)])
    const match = /^(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})$/.exec(stdout.trim())
    if (match === null || match[1]?.startsWith('Z')) return null
    return { pid, startedAt: match[2] ?? '' }
  } catch {
    return null // ps exits with 1 for a pid that does not exist
  }
}

/**
 * Whether that process is a PostgreSQL on this very cluster, by whatever path either reaches it: PostgreSQL
 * changes into its folder, and the kernel says which one that is. No file of the folder proves it, since a
 * copy of the folder holds a copy of that file.
 */
export async function isPostgresIn(pid: number, cluster: string): Promise<boolean> {
  if ((await findProcess(pid)) === null) return false
  try {
    const seen = process.platform === 'linux' ? await seeProc(pid) : await seePs(pid)
    if (!seen.name.includes('postgres')) return false
    const [its, ours] = await Promise.all([
      stat(seen.folder, { bigint: true }),
      stat(cluster, { bigint: true }),
    ])
    return its.dev === ours.dev && its.ino === ours.ino
  } catch (error) {
    // It has just ended, or belongs to somebody else, who could not run it on a folder that is ours alone.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return false
    throw error
  }
}

async function seeProc(pid: number): Promise<{ name: string; folder: string }> {
  return { name: await readFile(`/proc/${pid}/comm`, 'utf8'), folder: `/proc/${pid}/cwd` }
}

async function seePs(pid: number): Promise<{ name: string; folder: string }> {
  const { stdout: name } = await run('ps', ['-o', 'comm=', '-p', String(pid)])
  const { stdout } = await run('lsof', ['-a', '-d', 'cwd', '-p', String(pid), '-Fn'])
  return { name, folder: /^n(.*)$/m.exec(stdout)?.[1] ?? '' }
}
