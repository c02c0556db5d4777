/**
 * One file past the server. Whatever ends that early must not stay announced: it counts against the quota
 * until it is given up.
 */
export type PastServer<Answer> = {
  /** Tells the id of the upload as soon as the server knows of it. */
  send(onAsked: (uploadId: string) => void): Promise<Answer>
  giveUp(uploadId: string): Promise<void>
  /** The other way, where the bucket gave no answer. */
  fallBack(error: unknown): Promise<Answer>
  isUnreachable(error: unknown): boolean
  signal: AbortSignal
}

/**
 * What was refused, or what the server did not answer, stays announced: tried again, it goes on with the
 * parts that are there.
 */
export async function sendPastServer<Answer>({
  send,
  giveUp,
  fallBack,
  isUnreachable,
  signal,
}: PastServer<Answer>): Promise<Answer> {
  let asked: string | null = null
  try {
    return await send((uploadId) => {
      asked = uploadId
    })
  } catch (error) {
    const isStopped = signal.aborted
    if (!isStopped && !isUnreachable(error)) throw error
    if (asked !== null) await giveUp(asked)
    if (isStopped) throw error
    return fallBack(error)
  }
}
