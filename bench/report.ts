/** What a benchmark finds, as a table for people and as JSON for machines. */
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import { dirname } from 'node:path'

/** What has to hold. Ratios are ours / limit; `atMost` is of `ours` itself, in the row's unit. */
export type Target = { ratioAtMost: number } | { ratioAtLeast: number } | { atMost: number }

/**
 * One measured figure, and what it is held against. Both sides were measured in the same run, turn by turn.
 */
export type BenchRow = {
  /** `<benchmark>: <what>`, such as `upload: server CPU per GiB`. */
  name: string
  ours: number
  /** The same figure of the bare program or the other tool. Null: the target is absolute. */
  limit: number | null
  /** ours / limit. Null where there is no limit. */
  ratio: number | null
  /** Null: only told, nothing is promised. */
  target: Target | null
  /** Of `ours` and `limit`: `s`, `ms`, `MB`, `MB/s`, `CPU-s/GiB` ... */
  unit: string
  /** CPU-seconds, user and system, that ours spent in the measured part; null where that says nothing. */
  cpuSeconds: number | null
  /** Highest resident memory of ours in the measured part, MB (1e6 bytes). */
  peakRssMb: number | null
  /** How it was measured, where the name does not say, and what the limit is. */
  note: string
}

export function isMet({ target, ratio, ours }: BenchRow): boolean | null {
  if (target === null) return null
  if ('atMost' in target) return ours <= target.atMost
  if (ratio === null) return false
  return 'ratioAtMost' in target ? ratio <= target.ratioAtMost : ratio >= target.ratioAtLeast
}

const HEADINGS = ['', 'benchmark', 'ours', 'limit', 'ratio', 'target', 'CPU', 'peak']

/** An aligned table; notes stand below each row. */
export function formatTable(rows: readonly BenchRow[]): string {
  const cells = rows.map((row) => [
    { true: '✓', false: '✗', null: '·' }[String(isMet(row))]!,
    row.name,
    `${formatNumber(row.ours)} ${row.unit}`,
    row.limit === null ? '' : `${formatNumber(row.limit)} ${row.unit}`,
    row.ratio === null ? '' : `${row.ratio.toFixed(2)} x`,
    formatTarget(row),
    row.cpuSeconds === null ? '' : `${formatNumber(row.cpuSeconds)} s`,
    row.peakRssMb === null ? '' : `${formatNumber(row.peakRssMb)} MB`,
  ])
  const widths = HEADINGS.map((heading, column) =>
    Math.max(heading.length, ...cells.map((line) => line[column]!.length)),
  )
  const align = (line: readonly string[]) =>
    line
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
  const lines = [align(HEADINGS), align(widths.map((width) => '─'.repeat(width)))]
  rows.forEach((row, index) => {
    lines.push(align(cells[index]!))
    if (row.note) lines.push(`   ${row.note}`)
  })
  return lines.join('\n')
}

export type BenchFailure = { benchmark: string; error: string }

export async function writeJson(
  path: string,
  rows: readonly BenchRow[],
  failures: readonly BenchFailure[],
): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
  }
  const results = rows.map((row) => ({ ...row, met: isMet(row) }))
  await writeFile(
    path,
    `${JSON.stringify({ at: new Date().toISOString(), machine, results, failures }, null, 2)}\n`,
  )
}

function formatTarget({ target, unit }: BenchRow): string {
  if (target === null) return ''
  if ('atMost' in target) return `≤ ${target.atMost} ${unit}`
  return 'ratioAtMost' in target ? `≤ ${target.ratioAtMost} x` : `≥ ${target.ratioAtLeast} x`
}

function formatNumber(value: number): string {
  if (Math.abs(value) >= 100) return value.toFixed(0)
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}
