import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../../errors.ts'
import { exportReceipts, type ReceiptFormat } from '../../library/assets/receipt-export.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

/**
 * Where every original of everybody is, and what proves it; to a file that must not exist, or to standard
 * output.
 */
export async function printReceipts(
  context: CliContext,
  { format, out }: { format: string; out?: string },
): Promise<ExitCode> {
  if (format !== 'csv' && format !== 'json')
    throw new AppError('invalid', `--format ${format}: write csv, or json for one object a line.`)
  const known: ReceiptFormat = format
  return context.withDatabase(async (db) => {
    const lines = exportReceipts(db, known, { ownerId: null })
    if (out === undefined) {
      for await (const text of lines) context.print(text.trimEnd())
      return EXIT.done
    }
    // Nobody else need read what everybody's photos are called.
    const file = createWriteStream(out, { flags: 'wx', mode: 0o600 })
    await pipeline(Readable.from(lines), file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      throw new AppError('invalid', `${out} exists: name another file with --out.`)
    })
    return EXIT.done
  })
}
