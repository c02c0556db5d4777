/**
 * A small content delivery network in front of a strict bucket: checks each address, and answers as its query
 * says, with ranges.
 */
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { StrictS3 } from 'strict-s3'

export type Network = {
  baseUrl: string
  /** Paths that were answered with bytes, and the status of each. */
  served: { path: string; status: number }[]
  /** Names the bucket, which may be started later than the network. */
  standBefore(bucket: StrictS3, name: string): void
  close(): Promise<void>
}

export async function startNetwork(secret: string): Promise<Network> {
  const served: Network['served'] = []
  let origin: { bucket: StrictS3; name: string } | null = null
  const server = createServer(async (incoming, outgoing) => {
    const url = new URL(incoming.url!, 'http://network')
    const [signed, signature] = incoming.url!.split('&signature=')
    const isSigned = createHmac('sha256', secret).update(signed!).digest('base64url') === signature
    const isOver = Number(url.searchParams.get('expires')) * 1000 < Date.now()
    if (!isSigned || isOver || origin === null) return void outgoing.writeHead(403).end()
    const bytes = await origin.bucket.stored.bytes(url.pathname.slice('/files/'.length), origin.name)
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(incoming.headers.range ?? '') ?? []
    const start = Number(from ?? 0)
    const end = to ? Math.min(Number(to), bytes.length - 1) : bytes.length - 1
    const status = from === undefined ? 200 : 206
    served.push({ path: url.pathname, status })
    outgoing.writeHead(status, {
      'content-type': url.searchParams.get('response-content-type')!,
      'content-disposition': url.searchParams.get('response-content-disposition')!,
      'content-length': end - start + 1,
      'accept-ranges': 'bytes',
      ...(status === 206 && { 'content-range': `bytes ${start}-${end}/${bytes.length}` }),
    })
    outgoing.end(bytes.subarray(start, end + 1))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/files`,
    served,
    standBefore(bucket, name) {
      origin = { bucket, name }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
