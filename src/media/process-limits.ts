/**
 * What the kernel lets a media process take, and that it ends with us. A shell sets the limits and becomes
 * the process:
 * `ulimit` is in every POSIX shell, needs no right and no package, and is inherited by ExifTool's Perl.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

export type ProcessLimits = {
  /** Bytes of private memory for decoding, beside what the process itself needs. */
  memoryBytes: number
  /** Of all tasks of the process together; then SIGXCPU ends it. */
  cpuSeconds: number
}

/**
 * RLIMIT_DATA counts private writable memory that is really mapped. RLIMIT_AS would count what V8 and
 * WebAssembly only reserve, tens of GB. Of an idle Node 24 it counts 560 MB (512 of them V8's range for
 * code), of one with all decoders 620.
 */
const OWN_BYTES = 640 * 2 ** 20
/** Of the memory for decoding, what an idle process may still hold and be given another file. */
const MOST_LEFT_OVER = 1 / 4
/** How much later a process that ignores SIGXCPU is killed. */
const XCPU_GRACE_SECONDS = 5

/**
 * The parameters are: hard and soft seconds of CPU, KiB of data, then the command. Where the hard limit is
 * lower already, that one holds. No core dumps: they would hold somebody's photo.
 */
const SHELL_SCRIPT =
  'ulimit -c 0; ulimit -H -t "$1" 2>/dev/null; ulimit -S -t "$2" 2>/dev/null; ulimit -d "$3" 2>/dev/null; shift 3; unset PWD OLDPWD SHLVL _; exec "$@"'

/** The command that runs `command` within the limits, as the process that is started. */
export function limitedCommand(
  command: readonly string[],
  limits: ProcessLimits,
): { file: string; args: string[] } {
  const kib = Math.ceil((limits.memoryBytes + OWN_BYTES) / 1024)
  const seconds = Math.ceil(limits.cpuSeconds)
  const numbers = [seconds + XCPU_GRACE_SECONDS, seconds, kib].map(String)
  return { file: '/bin/sh', args: ['-c', SHELL_SCRIPT, 'sh', ...numbers, ...command] }
}

/**
 * The command with its parent's death tied to its own by the kernel, where that can be had; else as it is.
 */
export function endingWithParent(command: readonly string[]): string[] {
  const setpriv = findSetpriv()
  return setpriv === null ? [...command] : [setpriv, '--pdeathsig', 'KILL', ...command]
}

/**
 * Whether a process, idle now, still holds so much of earlier files (codecs, caches, fragments) that the next
 * one would be refused memory that it needs, and be taken for damaged. False where the kernel shows no
 * `VmData`: macOS enforces no such limit either.
 */
export function holdsTooMuch(pid: number, limits: ProcessLimits): boolean {
  let status: string
  try {
    status = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // It has ended, or there is no /proc.
    if (code === 'ENOENT' || code === 'ESRCH') return false
    throw error
  }
  const kib = Number(/^VmData:\s+(\d+) kB/m.exec(status)?.[1] ?? 0)
  return kib * 1024 > OWN_BYTES + limits.memoryBytes * MOST_LEFT_OVER
}

let foundSetpriv: string | null | undefined

/**
 * util-linux's, which every Debian has; null on macOS, and where it is BusyBox's, which can't do it: there a
 * media process watches its parent itself (parent-watch.ts).
 */
export function findSetpriv(): string | null {
  if (foundSetpriv === undefined) {
    const works = (path: string) =>
      existsSync(path) && spawnSync(path, ['--pdeathsig', 'KILL', '/bin/sh', '-c', ':']).status === 0
    foundSetpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find(works) ?? null
  }
  return foundSetpriv
}
