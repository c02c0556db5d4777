/**
 * Reads what `write-backup.ts` has written, piece by piece, and holds it against its own header and digest.
 */
import { createHash } from 'node:crypto'
import {
  type BackupHeader,
  type BackupTotals,
  countRows,
  damaged,
  parseHeader,
  parseTotals,
  sectionLine,
} from './format.ts'

/** A header names some fifty tables. */
const MAX_LINE_BYTES = 4 * 1024 * 1024
const NEWLINE = 10
/** The end of the rows, with the line break before it. */
const END = Buffer.from('\n\\.\n')

export type BackupPart =
  | { is: 'header'; header: BackupHeader }
  /** Before the rows of a section, and after them. */
  | { is: 'begin' | 'end'; table: BackupHeader['tables'][number] }
  /** Whole rows or parts of rows, in COPY's text format. */
  | { is: 'rows'; rows: Buffer }
  /** Comes last, when everything has been found as its header and its last line say. */
  | { is: 'totals'; totals: BackupTotals }

/** @throws AppError corrupt, conflict for a backup of a newer Glassine, and whatever the source throws */
export async function* readBackup(source: AsyncIterable<Buffer>): AsyncGenerator<BackupPart> {
  const input = openInput(source)
  try {
    yield* readAll(input)
  } finally {
    await input.close()
  }
}

async function* readAll(input: Input): AsyncGenerator<BackupPart> {
  const sha256 = createHash('sha256')
  const digested = (piece: Buffer) => {
    sha256.update(piece)
    return piece
  }
  const header = parseHeader(
    digested(await input.line())
      .toString('utf8')
      .trimEnd(),
  )
  yield { is: 'header', header }
  for (const table of header.tables) {
    const line = digested(await input.line())
      .toString('utf8')
      .trimEnd()
    if (line !== sectionLine(table)) throw damaged(`the rows of ${table.name} do not begin where they should`)
    yield { is: 'begin', table }
    let rows = 0
    for await (const piece of input.rows()) {
      rows += countLines(piece.rows)
      digested(piece.rows)
      if (piece.rows.length > 0) yield { is: 'rows', rows: piece.rows }
      if (piece.end !== null) digested(piece.end)
    }
    if (rows !== table.rows) throw damaged(`${table.name} has ${rows} rows instead of ${table.rows}`)
    yield { is: 'end', table }
  }
  const bytes = input.takenBytes()
  const totals = parseTotals((await input.line()).toString('utf8').trimEnd())
  if (totals.bytes !== bytes || totals.sha256 !== sha256.digest('hex'))
    throw damaged('its digest is another one')
  if (totals.rows !== countRows(header)) throw damaged('its rows were not counted right')
  if (await input.hasMore()) throw damaged('something follows its end')
  yield { is: 'totals', totals }
}

/** The header alone; the rest of the source is given up. */
export async function readHeader(source: AsyncIterable<Buffer>): Promise<BackupHeader> {
  for await (const part of readBackup(source)) if (part.is === 'header') return part.header
  throw damaged('it is empty')
}

/** Reads all of it, and nothing but that. @throws as `readBackup` */
export async function checkBackup(
  source: AsyncIterable<Buffer>,
): Promise<{ header: BackupHeader; totals: BackupTotals }> {
  let header: BackupHeader | undefined
  for await (const part of readBackup(source)) {
    if (part.is === 'header') header = part.header
    if (part.is === 'totals' && header !== undefined) return { header, totals: part.totals }
  }
  throw damaged('it ends early')
}

function countLines(piece: Buffer): number {
  let lines = 0
  for (let at = piece.indexOf(NEWLINE); at !== -1; at = piece.indexOf(NEWLINE, at + 1)) lines += 1
  return lines
}

type Input = ReturnType<typeof openInput>

/** The source as lines and as rows. */
function openInput(source: AsyncIterable<Buffer>) {
  const pieces = source[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  let taken = 0

  async function more(): Promise<boolean> {
    const next = await pieces.next()
    if (next.done) return false
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value])
    return true
  }
  function take(length: number): Buffer {
    const piece = held.subarray(0, length)
    held = held.subarray(length)
    taken += length
    return piece
  }
  async function line(): Promise<Buffer> {
    for (;;) {
      const end = held.indexOf(NEWLINE)
      if (end !== -1) return take(end + 1)
      if (held.length > MAX_LINE_BYTES) throw damaged('one of its lines has no end')
      if (!(await more())) throw damaged('it ends early')
    }
  }
  /** Up to and with the end of the section, which is the `end` of the last piece. */
  async function* rows(): AsyncGenerator<{ rows: Buffer; end: Buffer | null }> {
    while (held.length < END.length - 1) if (!(await more())) throw damaged('it ends early')
    // Without any row, the line break before the end is the one of the line before.
    if (held.subarray(0, END.length - 1).equals(END.subarray(1))) {
      yield { rows: Buffer.alloc(0), end: take(END.length - 1) }
      return
    }
    for (;;) {
      const at = held.indexOf(END)
      if (at !== -1) {
        const last = take(at + 1)
        yield { rows: last, end: take(END.length - 1) }
        return
      }
      // What may be the beginning of the end stays.
      const sure = held.length - (END.length - 1)
      if (sure > 0) yield { rows: take(sure), end: null }
      if (!(await more())) throw damaged('it ends early')
    }
  }
  return {
    line,
    rows,
    takenBytes: () => taken,
    hasMore: async () => held.length > 0 || (await more()),
    /** Gives up what is left of the source. */
    close: async () => void (await pieces.return?.()),
  }
}
