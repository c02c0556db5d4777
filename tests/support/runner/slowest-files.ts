/**
 * A reporter of node's test runner: at the end, which files took longest, each with its share of the time of
 * all and the part of it in which it waited: for a clock, a disk, another server of the run, or its turn on a
 * processor.
 */
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'
import { FILE_TIMES_VARIABLE, type FileTimes } from './file-times.ts'

const SHOWN = 20

export default async function* slowestFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files: { name: string; seconds: number }[] = []
  for await (const event of source) {
    if (event.type !== 'test:summary' || event.data.file === undefined) continue
    files.push({ name: relative(process.cwd(), event.data.file), seconds: event.data.duration_ms / 1_000 })
  }
  if (files.length < 2) return
  const cpu = readTimes()
  const all = files.reduce((sum, { seconds }) => sum + seconds, 0)
  const allCpu = [...cpu.values()].reduce((sum, seconds) => sum + seconds, 0)
  files.sort((a, b) => b.seconds - a.seconds)
  const told = cpu.size === 0 ? '' : ` with ${allCpu.toFixed(0)} s of a processor`
  yield `\n${files.length} files took ${all.toFixed(0)} s in all${told}, the longest of them:\n`
  for (const { name, seconds } of files.slice(0, SHOWN)) {
    const busy = cpu.get(name)
    const waited = busy === undefined ? '' : `, ${Math.max(0, seconds - busy).toFixed(0)} s of them waiting`
    yield `${seconds.toFixed(0).padStart(6)} s  ${name}${waited}\n`
  }
}

/** Seconds of a processor by file; empty where nobody wrote them down. */
function readTimes(): Map<string, number> {
  const source = process.env[FILE_TIMES_VARIABLE]
  if (source === undefined || !existsSync(source)) return new Map()
  const lines = readFileSync(source, 'utf8').trim().split('\n').filter(Boolean)
  return new Map(lines.map((line) => JSON.parse(line) as FileTimes).map((one) => [one.file, one.cpuSeconds]))
}
