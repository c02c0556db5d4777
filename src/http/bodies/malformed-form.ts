/**
 * Whether a form could not be read because the body is not complete multipart/form-data, which is the
 * client's fault. Errors of
 * @fastify/busboy have neither code nor class, so their texts decide; malformed-form.test.ts provokes them.
 */
export function isMalformedForm(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { message, code } = error as Error & { code?: string }
  if (code === 'FST_INVALID_MULTIPART_CONTENT_TYPE') return true
  return /^(Multipart: Boundary not found|Unexpected end of multipart data|\w+ terminated early due to)/.test(
    message,
  )
}
