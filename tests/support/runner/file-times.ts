/**
 * Loaded before each process of tests (`--import`): at its exit, one line of JSON with the processor time
 * that it and its children took goes to the file that the environment names. What it waited for, a child
 * included, is the rest of its time.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** Set by `tests/run.ts`: the file to which the lines go. */
export const FILE_TIMES_VARIABLE = 'GLASSINE_TEST_TIMES'
/** Of Linux, on all processors: the unit of /proc/<pid>/stat. */
const TICKS_PER_SECOND = 100

/** `entry`: the path of what the process runs, a file of tests or a module that imports some. */
export type ProcessTime = { entry: string; cpuSeconds: number }

/** Of this process and of its children that have ended, in seconds; null where the system does not tell. */
function cpuSeconds(): number | null {
  if (process.platform !== 'linux') return null
  const stat = readFileSync('/proc/self/stat', 'utf8')
  // The second field is the name in brackets, which may hold blanks. utime, stime, cutime and cstime are
  // fields 14 to 17.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND
}

const target = process.env[FILE_TIMES_VARIABLE]
const entry = process.argv[1]
// A child that is forked inherits the flag: its time is in its parent's already.
if (target !== undefined && isMainThread && /\.test\.(ts|mjs)$/.test(entry ?? '')) {
  process.on('exit', () => {
    const seconds = cpuSeconds()
    if (seconds === null) return
    const line: ProcessTime = { entry: entry!, cpuSeconds: seconds }
    appendFileSync(target, `${JSON.stringify(line)}\n`)
  })
}
