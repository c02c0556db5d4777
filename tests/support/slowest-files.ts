/** A reporter of node's test runner: at the end, which files took longest, each with its share of the time of all. */
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'

const SHOWN = 15

export default async function* slowestFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files: { name: string; seconds: number }[] = []
  for await (const event of source) {
    if (event.type !== 'test:summary' || event.data.file === undefined) continue
    files.push({ name: relative(process.cwd(), event.data.file), seconds: event.data.duration_ms / 1_000 })
  }
  if (files.length < 2) return
  const all = files.reduce((sum, { seconds }) => sum + seconds, 0)
  files.sort((a, b) => b.seconds - a.seconds)
  yield `\n${files.length} files took ${all.toFixed(0)} s in all, the longest of them:\n`
  for (const { name, seconds } of files.slice(0, SHOWN))
    yield `${seconds.toFixed(0).padStart(6)} s  ${name}\n`
}
