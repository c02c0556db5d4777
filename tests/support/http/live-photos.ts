/** Live photos as the phone apps send them: the video first, then the still that names it. */
import { randomBytes } from 'node:crypto'
import type { Client } from '../client.ts'

/** Not a picture that can be shown: for what happens to files, not to what is seen. */
export const someStill = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])
export const someVideo = () => randomBytes(2_000)

export type Answer = { id: string; status: 'created' | 'duplicate' }

export function sendStill(client: Client, bytes: Buffer, videoId: string | null): Promise<Answer> {
  const form = new FormData()
  form.set('fileCreatedAt', '2024-01-01T00:00:00.000Z')
  form.set('fileModifiedAt', '2024-01-01T00:00:00.000Z')
  if (videoId !== null) form.set('livePhotoVideoId', videoId)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'IMG_1.jpg')
  return client.json<Answer>('/assets', { method: 'POST', body: form })
}

export const sendJson = (client: Client, method: string, path: string, body: unknown = {}) =>
  client.call(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
