import type { StorageLocation } from '../../api-types.ts'
import { formatBytes, plural } from '../../format.ts'

/** What is deleted and not removed yet; null: nothing is. */
export function lockSentence(lock: StorageLocation['lock']): string | null {
  if (lock === null || lock.waiting.count === 0) return null
  const { count, bytes, until, onHold } = lock.waiting
  const day = until === null ? '' : ` The last of them goes after ${until.slice(0, 10)}.`
  const held = onHold === 0 ? '' : ` ${plural(onHold, 'file')} on legal hold.`
  return `${plural(count, 'deleted file')} (${formatBytes(bytes)}) can't be removed yet: Object Lock.${day}${held}`
}

/** Files that could be removed by somebody else soon. */
export function lockWarning(lock: StorageLocation['lock']): string | null {
  if (lock === null || lock.failed === 0) return null
  return `The lock of ${plural(lock.failed, 'file')} can't be prolonged; the log says why.`
}
