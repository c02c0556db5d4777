/**
 * A reporter of node's test runner: at the end, which processes took longest, each with the part of it in
 * which it waited: for a clock, a disk, another server of the run, or its turn on a processor. Where files
 * share a process, also the longest of those.
 */
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'
import type { FileGroup } from '../../file-groups.ts'
import { FILE_TIMES_VARIABLE, type ProcessTime } from './file-times.ts'

const SHOWN = 20
const SHOWN_OF_GROUP = 4

/** `groups`: by the path of the entry of their process. */
export function slowestFiles(groups: ReadonlyMap<string, FileGroup>) {
  return async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
    const secondsOfFile = new Map<string, number>()
    const processes: { group: FileGroup; entry: string; seconds: number }[] = []
    for await (const { type, data } of source) {
      if (type === 'test:summary' && data.file !== undefined) {
        const group = groups.get(data.file)!
        processes.push({ group, entry: data.file, seconds: data.duration_ms / 1_000 })
      }
      // A file that shares its process took as long as what stands at its top level.
      if ((type === 'test:pass' || type === 'test:fail') && data.nesting === 0 && data.file !== undefined) {
        const name = relative(process.cwd(), data.file)
        secondsOfFile.set(name, (secondsOfFile.get(name) ?? 0) + data.details.duration_ms / 1_000)
      }
    }
    const files = [...groups.values()].flatMap((group) => group.files)
    if (files.length < 2) return
    const cpu = readTimes()
    const all = processes.reduce((sum, { seconds }) => sum + seconds, 0)
    const allCpu = [...cpu.values()].reduce((sum, seconds) => sum + seconds, 0)
    const told = cpu.size === 0 ? '' : ` with ${allCpu.toFixed(0)} s of a processor`
    yield `\n${files.length} files in ${processes.length} processes took ${all.toFixed(0)} s in all${told}, the longest of them:\n`
    processes.sort((a, b) => b.seconds - a.seconds)
    for (const { group, entry, seconds } of processes.slice(0, SHOWN)) {
      const busy = cpu.get(entry)
      const waited = busy === undefined ? '' : `, ${Math.max(0, seconds - busy).toFixed(0)} s of them waiting`
      yield `${inSeconds(seconds)}  ${group.name}${waited}\n`
      if (group.files.length === 1) continue
      const longest = group.files
        .map((name) => ({ name, seconds: secondsOfFile.get(name) ?? 0 }))
        .sort((a, b) => b.seconds - a.seconds)
      for (const one of longest.slice(0, SHOWN_OF_GROUP))
        yield `         ${inSeconds(one.seconds)}  ${one.name}\n`
    }
  }
}

const inSeconds = (seconds: number) => `${seconds.toFixed(0).padStart(6)} s`

/** Seconds of a processor by the entry of the process; empty where nobody wrote them down. */
function readTimes(): Map<string, number> {
  const source = process.env[FILE_TIMES_VARIABLE]
  if (source === undefined || !existsSync(source)) return new Map()
  const lines = readFileSync(source, 'utf8').trim().split('\n').filter(Boolean)
  return new Map(
    lines.map((line) => JSON.parse(line) as ProcessTime).map((one) => [one.entry, one.cpuSeconds]),
  )
}
