import { plural } from '../../library/words.ts'
import type { LocationStatus } from '../../placement/reports/status.ts'
import { bytes, type Style } from '../text.ts'

/** What waits for the end of its lock, and what is locked for too short a time. */
export function lockLines(locations: readonly Pick<LocationStatus, 'id' | 'lock'>[], style: Style): string[] {
  return locations.flatMap(({ id, lock }) => {
    if (lock === null) return []
    const { waiting, due, failed } = lock
    const lines: string[] = []
    if (waiting.count > 0) {
      const until = waiting.until === null ? '' : ` the last of them until ${waiting.until.slice(0, 10)},`
      const held = waiting.onHold > 0 ? ` (${waiting.onHold} on legal hold)` : ''
      lines.push(
        `  ${id}: ${plural(waiting.count, 'deleted file')} (${bytes(waiting.bytes)}) can't be removed yet:` +
          `${until} by Object Lock${held}; removed by itself afterwards`,
      )
    }
    if (failed > 0)
      lines.push(style.red(`  ${id}: the lock of ${plural(failed, 'file')} can't be prolonged; see the log`))
    if (due > failed)
      lines.push(style.dim(`  ${id}: the locks of ${plural(due - failed, 'file')} are being prolonged`))
    return lines
  })
}
