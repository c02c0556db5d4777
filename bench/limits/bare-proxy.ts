/**
 * What a proxied download can't cost less than: a bare node:http server that pipes the answer to a presigned
 * request to its client, over connections that are kept. No rows, no resuming, and no checks, but for the
 * SHA-256 where `sha256` is given.
 *
 * `node bare-proxy.ts <presigned URL> [sha256]`; sends its port to the parent, or prints it.
 */
import { createHash } from 'node:crypto'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'

const source = process.argv[2]!
const isHashing = process.argv[3] === 'sha256'
const agent = new Agent({ keepAlive: true })

const server = createServer((request, response) => {
  const headers = request.headers.range ? { range: request.headers.range } : {}
  const upstream = get(source, { agent, headers }, (answer) => {
    response.writeHead(answer.statusCode!, { 'content-length': answer.headers['content-length'] })
    if (isHashing) {
      const hash = createHash('sha256')
      answer.on('data', (chunk: Buffer) => hash.update(chunk))
      answer.on('end', () => hash.digest('hex'))
    }
    answer.pipe(response)
  })
  upstream.on('error', () => response.destroy())
  response.on('close', () => upstream.destroy())
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  if (process.send) process.send(port)
  else console.log(port)
})
process.on('disconnect', () => process.exit())
