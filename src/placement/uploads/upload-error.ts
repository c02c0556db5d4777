import { AppError, isAppError } from '../../errors.ts'
import { isStorageError } from '../../storage/backend.ts'

/**
 * What somebody who uploads should hear when the place fails; what it said itself is the cause, for the log.
 */
export function asUploadError(error: unknown): unknown {
  if (isStorageError(error, 'too-large')) {
    const message =
      'The place where originals are kept does not take the file: no room, or larger than it allows'
    return new AppError('storage-full', message, { cause: error })
  }
  const isOfThePlace =
    isStorageError(error) ||
    (isAppError(error) && ['conflict', 'unavailable', 'corrupt'].includes(error.code))
  if (!isOfThePlace) return error
  const isDisputed = isAppError(error, 'conflict') && error.details?.ledger !== undefined
  const message = isDisputed
    ? 'Uploads are refused until an administrator has decided how it goes on (storage page); nothing of this one was kept'
    : 'The place where originals are kept cannot take the upload at the moment; nothing of it was kept. Try again shortly'
  return new AppError('unavailable', message, { cause: error })
}
