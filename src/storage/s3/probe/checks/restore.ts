import { RestoreObjectCommand } from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { drawback, noProblem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { errorCode } from '../../requests/errors.ts'
import { iamPolicy, RESTORE_ACTION } from './paste.ts'
import { type Probe, putRaw, someBytes } from './probing.ts'

/**
 * Whether what is archived could be restored: asked of an object that is not archived, so that nothing is
 * billed. A service that knows restores refuses it for the object's class; one that refuses the caller says
 * so first.
 */
export async function checkRestore(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const name = 'restore'
  if (!probe.usesArchives) return []
  const key = probe.key('restore')
  await putRaw(probe, key, someBytes(10))
  const command = new RestoreObjectCommand({
    Bucket: bucket.settings.bucket,
    Key: bucket.fullKey(key),
    RestoreRequest: { Days: 1, GlacierJobParameters: { Tier: 'Bulk' } },
  })
  try {
    await bucket.call(`RestoreObject of ${key}`, undefined, (options) => bucket.client.send(command, options))
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    const code = errorCode(error.cause)
    if (code === 'InvalidObjectState')
      return [noProblem(name, 'may be asked for, and is refused for an object that is not archived')]
    if (code === 'AccessDenied') {
      const detail = `what is archived can't be opened again: ${error.said}`
      return [drawback(name, detail, `give the credentials ${RESTORE_ACTION}`, [iamPolicy(probe)])]
    }
    return [drawback(name, `the service restores nothing: ${error.said}`, NO_ARCHIVES)]
  }
  const detail = 'the restore of an object that is not archived was acknowledged: its word means nothing'
  return [drawback(name, detail, NO_ARCHIVES)]
}

const NO_ARCHIVES = 'leave GLACIER and DEEP_ARCHIVE out of storage.classes'
