import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { digestBlob, md5OfBlob } from '../../../web/src/lib/direct-upload/digests.ts'
import {
  createProofWatch,
  DirectUploadError,
  type Ports,
  uploadDirectly,
} from '../../../web/src/lib/direct-upload/direct-upload.ts'
import { putByFetch } from '../../../web/src/lib/direct-upload/put.ts'
import { sendPastServer } from '../../../web/src/lib/upload/send-past-server.ts'
import { createUploadQueue } from '../../../web/src/lib/upload/upload-queue.ts'
import { type DirectServer, startDirectServer } from '../../support/http/direct-upload.ts'

const MIB = 1024 * 1024

/** The page's way of one file, in Node. */
async function pageOf({ admin }: DirectServer, blob: Blob, name: string) {
  const ports: Ports = {
    async call<T>(method: string, path: string, options: { body?: unknown } = {}) {
      const response = await admin.call(path, {
        method,
        headers: options.body === undefined ? {} : { 'content-type': 'application/json' },
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      })
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
      return (response.status === 204 ? undefined : await response.json()) as T
    },
    put: putByFetch,
    md5: md5OfBlob,
    sleep: async () => undefined,
  }
  const fileCreatedAt = '2024-05-01T12:00:00.000Z'
  const announcement = {
    fileName: name,
    size: blob.size,
    ...(await digestBlob(blob, { md5UpToBytes: 32 * MIB })),
    fileCreatedAt,
    fileModifiedAt: fileCreatedAt,
  }
  return {
    ports,
    send: (
      signal: AbortSignal,
      options: {
        whilePaused?: () => Promise<void>
        fallBack?: () => Promise<{ id: string; status: string }>
      } = {},
    ) =>
      sendPastServer<{ id: string; status: string }>({
        send: (onAsked) =>
          uploadDirectly(ports, blob, announcement, {
            wait: createProofWatch(ports),
            signal,
            onAsked,
            ...(options.whilePaused && { whilePaused: options.whilePaused }),
          }),
        giveUp: (id) => ports.call<void>('DELETE', `/storage/uploads/${id}`),
        isUnreachable: (error) => error instanceof DirectUploadError && error.kind === 'unreachable',
        fallBack: options.fallBack ?? (() => Promise.reject(new Error('no other way was to be taken'))),
        signal,
      }),
  }
}

const statesOf = async ({ admin }: DirectServer) => {
  const { uploads } = await admin.json<{ uploads: { state: string }[] }>('/storage/uploads')
  return uploads.map(({ state }) => state)
}

test('a stopped upload is given up, also one that waits for the end of a pause', async (t) => {
  const server = await startDirectServer(t)
  const page = await pageOf(server, new Blob([randomBytes(33 * MIB)]), 'film.mp4')
  let waiting!: () => void
  const isWaiting = new Promise<void>((resolve) => {
    waiting = resolve
  })
  let ended!: () => void
  const isOver = new Promise<void>((resolve) => {
    ended = resolve
  })
  const queue = createUploadQueue<string>({
    hash: async () => 'sha1',
    check: async (batch) => batch.map(({ id }) => ({ id, action: 'accept' })),
    async send(_source, { signal, whilePaused }) {
      queue.pause()
      const paused = () => {
        waiting()
        return whilePaused()
      }
      try {
        return await page.send(signal, { whilePaused: paused })
      } finally {
        ended()
      }
    },
    now: () => 0,
    onChange: () => undefined,
  })
  queue.add([{ source: 'film', name: 'film.mp4', size: 33 * MIB }])
  await isWaiting
  assert.deepEqual(await statesOf(server), ['open'])
  queue.cancel(queue.items[0]!.id)
  await isOver
  assert.deepEqual(await statesOf(server), ['abandoned'])
  assert.equal(queue.items[0]!.reason, 'You stopped this one.')
})

test('stopped while it is announced, it is given up all the same', async (t) => {
  const server = await startDirectServer(t)
  const page = await pageOf(server, new Blob([randomBytes(100)]), 'a.jpg')
  const stop = new AbortController()
  const { call } = page.ports
  page.ports.call = <T>(...args: Parameters<Ports['call']>) => {
    stop.abort(new Error('stopped'))
    return call<T>(...args)
  }
  await assert.rejects(page.send(stop.signal), /stopped/)
  assert.deepEqual(await statesOf(server), ['abandoned'])
})

test('before another way is taken, the upload is given up; what was refused is not', async (t) => {
  const server = await startDirectServer(t)
  const page = await pageOf(server, new Blob([randomBytes(100)]), 'a.jpg')
  const { signal } = new AbortController()
  const refused = server.bucket.faults.add({
    match: { operation: 'PutObject' },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(page.send(signal), { kind: 'refused' })
  assert.deepEqual(await statesOf(server), ['open'], 'a retry goes on with it')
  refused.remove()
  server.bucket.faults.add({ match: { operation: 'PutObject' }, fault: { kind: 'reset' } })
  let seen: string[] = []
  const fallBack = async () => {
    seen = await statesOf(server)
    return { id: 'by the server', status: 'created' }
  }
  assert.equal((await page.send(signal, { fallBack })).id, 'by the server')
  assert.deepEqual(seen, ['abandoned'])
})
