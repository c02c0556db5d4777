/** Errors as answers. */

import type { Fault } from '../faults.ts'
import { messageOfCode, S3Error } from '../wire/s3-error.ts'
import { writeXml } from '../wire/xml.ts'
import type { Reply } from './call.ts'
import type { Target } from './route.ts'

export const hostId = 'strict-s3'

/** The XML that says what was wrong. */
export function errorReply(
  error: S3Error,
  target: Pick<Target, 'key' | 'bucketName'>,
  requestId: string,
): Reply {
  const resource = `/${target.bucketName}${target.key ? `/${target.key}` : ''}`
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: writeXml(
      'Error',
      {
        Code: error.code,
        Message: error.message,
        ...error.details,
        ...(error.code === 'NoSuchKey' ? { Key: target.key } : {}),
        Resource: resource,
        RequestId: requestId,
        HostId: hostId,
      },
      { namespaced: false },
    ),
  }
}

/** The error that a `status` fault asks for, with any status and code. */
export function faultError(fault: Extract<Fault, { kind: 'status' }>): S3Error {
  const error = new S3Error('InternalError', {
    status: fault.status,
    message: messageOfCode(fault.code),
    headers: fault.retryAfterSeconds === undefined ? {} : { 'retry-after': String(fault.retryAfterSeconds) },
  })
  return Object.assign(error, { code: fault.code })
}
