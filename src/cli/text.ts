import { stripVTControlCharacters, styleText } from 'node:util'

/**
 * How the command line writes: one sentence first, columns that line up, colour only where it helps and is
 * wanted.
 */
export type Style = {
  bold(text: string): string
  dim(text: string): string
  red(text: string): string
  amber(text: string): string
}

/** Plain where output is no terminal or NO_COLOR is set (no-color.org). */
export function styleFor(isTerminal: boolean, noColor: boolean): Style {
  const paint = (format: 'bold' | 'dim' | 'red' | 'yellow') => (text: string) =>
    // The caller knows the stream; `styleText` would look at the stdout of this process.
    isTerminal && !noColor && text !== '' ? styleText(format, text, { validateStream: false }) : text
  return { bold: paint('bold'), dim: paint('dim'), red: paint('red'), amber: paint('yellow') }
}

/** Characters that are seen; colours are not. */
function visibleLength(text: string): number {
  return [...stripVTControlCharacters(text)].length
}

/**
 * Lines up rows; `right` names the columns of numbers. Two spaces between columns, none at the end of a line.
 */
export function columns(rows: string[][], right: number[] = []): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries())
      widths[index] = Math.max(widths[index] ?? 0, visibleLength(cell))
  }
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const room = ' '.repeat((widths[index] ?? 0) - visibleLength(cell))
        return right.includes(index) ? room + cell : cell + room
      })
      .join('  ')
      .trimEnd(),
  )
}

/** Breaks text between words so that no line is longer than `width`, except for words that are. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** Binary units, as on the page and in Immich, three figures: `1.20 GiB`. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = count
  let unit = 0
  while (value >= 1_023.5 && unit < units.length - 1) {
    value /= 1_024
    unit += 1
  }
  const figures =
    unit === 0 || value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
  return `${figures} ${units[unit]}`
}

/** Parts of a whole as one bar; every part that is not zero shows. */
export function bar(parts: { sign: string; value: number }[], width: number): string {
  const total = parts.reduce((sum, part) => sum + part.value, 0)
  if (total === 0) return '·'.repeat(width)
  const cells = parts.map((part) =>
    part.value === 0 ? 0 : Math.max(1, Math.round((part.value / total) * width)),
  )
  // Rounding may have made it too long or too short: the largest part gives or takes.
  const largest = cells.indexOf(Math.max(...cells))
  cells[largest] = (cells[largest] ?? 0) + width - cells.reduce((sum, cell) => sum + cell, 0)
  return parts.map((part, index) => part.sign.repeat(Math.max(0, cells[index] ?? 0))).join('')
}
