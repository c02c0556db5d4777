/**
 * What processes cost, read from /proc: CPU of a process and everything below it, and resident memory.
 * Children that have ended count as soon as their parent has waited for them (`cutime`), so a tree's time
 * never shrinks.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'

/** USER_HZ is 100 on every Linux that node runs on. */
const TICKS_PER_SECOND = 100
const SAMPLE_MS = 20

type Stat = { pid: number; ppid: number; cpuSeconds: number }

/**
 * The process and all below it. `except` leaves a subtree out (PostgreSQL, which the server started but is
 * not).
 */
export async function processTree(root: number, except: readonly number[] = []): Promise<number[]> {
  const stats = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(readStat))
  const byParent = Map.groupBy(
    stats.filter((stat) => stat !== null),
    (stat) => stat.ppid,
  )
  const found: number[] = []
  const pending = [root]
  for (let pid = pending.pop(); pid !== undefined; pid = pending.pop()) {
    if (except.includes(pid)) continue
    found.push(pid)
    pending.push(...(byParent.get(pid) ?? []).map((stat) => stat.pid))
  }
  return found
}

/** User and system CPU-seconds of the tree since its processes began. */
export async function cpuSecondsOf(root: number, except: readonly number[] = []): Promise<number> {
  const stats = await Promise.all((await processTree(root, except)).map((pid) => readStat(String(pid))))
  return stats.reduce((sum, stat) => sum + (stat?.cpuSeconds ?? 0), 0)
}

/**
 * Bytes that one process has read and written since it began, files and sockets alike (what system calls
 * moved).
 */
export async function bytesMovedBy(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8')
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)![1])
  return count('rchar') + count('wchar')
}

/**
 * Resident memory of the tree: `rssMb` counts shared pages once for each process, `pssMb` shares them out. In
 * MB (1e6).
 */
export async function memoryOf(
  root: number,
  except: readonly number[] = [],
): Promise<{ rssMb: number; pssMb: number; processes: number }> {
  const pids = await processTree(root, except)
  let rssKib = 0
  let pssKib = 0
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '') // it has just ended
    rssKib += kib(text, 'Rss')
    pssKib += kib(text, 'Pss')
  }
  return { rssMb: (rssKib * 1024) / 1e6, pssMb: (pssKib * 1024) / 1e6, processes: pids.length }
}

/** Resident memory of one process now, MB (1e6). */
export async function rssMbOf(pid: number): Promise<number> {
  return (kib(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmRSS') * 1024) / 1e6
}

/** The highest resident memory of one process since `resetPeak`, as the kernel kept it, MB (1e6). */
export async function peakRssMbOf(pid: number): Promise<number> {
  return (kib(await readFile(`/proc/${pid}/status`, 'utf8'), 'VmHWM') * 1024) / 1e6
}

export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}

export type Cost<T> = { result: T; seconds: number; cpuSeconds: number; peakRssMb: number }

/**
 * Runs `work` and tells what the process and those below it spent meanwhile; the peak is of the root process
 * alone.
 */
export async function costOf<T>(
  root: number,
  work: () => Promise<T>,
  except: readonly number[] = [],
): Promise<Cost<T>> {
  await resetPeak(root)
  const before = await cpuSecondsOf(root, except)
  const beganAt = performance.now()
  const result = await work()
  const seconds = (performance.now() - beganAt) / 1000
  const cpuSeconds = (await cpuSecondsOf(root, except)) - before
  return { result, seconds, cpuSeconds, peakRssMb: await peakRssMbOf(root) }
}

/** CPU of those of our own children that have ended: the difference around one that ran is what it cost. */
export async function cpuSecondsOfEndedChildren(): Promise<number> {
  const fields = await statFields('self')
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND
}

/** Keeps looking at a process's peak memory until it ends; resolves with the last that was seen, MB. */
export function watchPeak(pid: number): { stop(): number } {
  let peakMb = 0
  const timer = setInterval(async () => {
    peakMb = Math.max(peakMb, await peakRssMbOf(pid).catch(() => 0))
  }, SAMPLE_MS)
  return {
    stop() {
      clearInterval(timer)
      return peakMb
    },
  }
}

async function readStat(pid: string): Promise<Stat | null> {
  const fields = await statFields(pid).catch(() => null)
  if (fields === null) return null // it has ended since the folder was listed
  const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0)
  return { pid: Number(pid), ppid: Number(fields[1]), cpuSeconds: ticks / TICKS_PER_SECOND }
}

/**
 * The fields after the name, which may hold spaces: `state` is 0, `ppid` 1, `utime stime cutime cstime` 11 to
 * 14.
 */
async function statFields(pid: string): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function kib(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}
