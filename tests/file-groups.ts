/**
 * Which files of tests share a process. To load half of `src/` costs a second of a processor, and code runs
 * several times faster once V8 has compiled it: the ten files of `tests/http/access` take 31 s of a processor
 * together and 51 s apart.
 */
import { dirname } from 'node:path'
import { LONGEST_FILES } from './file-order.ts'

/** More would be one long process at the end of a run, and a gigabyte of memory. */
const MOST_FILES = 7
/** What a file does to all tests of its process, or measures of the process. */
const OF_THE_WHOLE_PROCESS = [
  // At the top level, where node takes it for a hook of every file.
  /^(before|beforeEach|afterEach)\(/m,
  /process\.env(\.\w+|\[[^\]]+\]) *=[^=]|delete process\.env|process\.(chdir|umask|exit|exitCode)\b/,
  /\b(memoryUsage|cpuUsage|eventLoopUtilization|monitorEventLoopDelay|longestStall)\b/,
  /\bmock\.(timers|method)\b/,
]
/** Of real programs that are killed, starved and measured, or of what this process is. */
const FOLDERS_APART = [
  'tests/acceptance/outages',
  'tests/acceptance/strategies',
  'tests/check',
  'tests/crash',
  'tests/crash/matrix',
]

export type FileGroup = { name: string; files: string[] }

/** Groups of files in the order in which they are given; the sources decide who is alone. */
export function groupFiles(files: readonly string[], readSource: (file: string) => string): FileGroup[] {
  const groups: FileGroup[] = []
  const open = new Map<string, FileGroup>()
  for (const file of files) {
    if (isApart(file, readSource)) {
      groups.push({ name: file, files: [file] })
      continue
    }
    const folder = areaOf(file)
    let group = open.get(folder)
    if (group === undefined || group.files.length === MOST_FILES) {
      const number = groups.filter(({ name }) => name.startsWith(`${folder} `)).length + 1
      group = { name: `${folder} ${number}`, files: [] }
      open.set(folder, group)
      groups.push(group)
    }
    group.files.push(file)
  }
  return groups
}

function isApart(file: string, readSource: (file: string) => string): boolean {
  if (LONGEST_FILES.includes(file) || FOLDERS_APART.includes(dirname(file))) return true
  const source = readSource(file)
  return OF_THE_WHOLE_PROCESS.some((sign) => sign.test(source))
}

/** `tests/placement` of all its folders: most of them have two or three files that may share a process. */
function areaOf(file: string): string {
  const parts = dirname(file).split('/')
  return parts.slice(0, parts[1] === 'http' || parts[0] === 'packages' ? 3 : 2).join('/')
}
