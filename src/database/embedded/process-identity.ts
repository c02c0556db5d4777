import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * A process that runs now. `startedAt` is opaque; with the pid it names one process for ever, since pids are
 * reused.
 */
export type RunningProcess = { pid: number; startedAt: string; command: string }

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
    const [stat, commandLine] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ])
    // The name in field 2 is in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return null
    return { pid, startedAt: fields[19] ?? '', command: commandLine.replaceAll('\0', ' ').trim() }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ESRCH') return null
    throw error
  }
}

async function readPs(pid: number): Promise<RunningProcess | null> {
  try {
    const { stdout } = await run('ps', ['-o', 'stat=', '-o', 'lstart=', '-o', 'command=', '-p', String(pid)])
    const match = /^(\S+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/.exec(stdout.trim())
    if (match === null || match[1]?.startsWith('Z')) return null
    return { pid, startedAt: match[2] ?? '', command: match[3] ?? '' }
  } catch {
    return null // ps exits with 1 for a pid that does not exist
  }
}
