/** A real SMTP server and a real HTTP listener on loopback that keep what they get. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { SMTPServer } from 'smtp-server'

export type Mail = { to: string[]; text: string }

/** `password`: what it lets in, as the user `glassine`; null: everybody. */
export async function startMailServer(
  t: TestContext,
  { password = null }: { password?: string | null } = {},
): Promise<{ port: number; mails: Mail[]; refuse(next: boolean): void }> {
  const mails: Mail[] = []
  let isRefusing = false
  const server = new SMTPServer({
    authOptional: password === null,
    allowInsecureAuth: true,
    hideSTARTTLS: true,
    logger: false,
    onAuth: (auth, _session, done) =>
      auth.username === 'glassine' && auth.password === password
        ? done(null, { user: auth.username })
        : done(new Error('wrong user or password')),
    onData(stream, session, done) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        if (isRefusing) return done(Object.assign(new Error('mailbox is full'), { responseCode: 452 }))
        mails.push({
          to: session.envelope.rcptTo.map(({ address }) => address),
          text: Buffer.concat(parts).toString('utf8'),
        })
        done()
      })
    },
  })
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise<void>((resolve) => server.close(resolve)))
  return {
    port: (server.server.address() as AddressInfo).port,
    mails,
    refuse: (next) => {
      isRefusing = next
    },
  }
}

export type Call = { path: string; headers: IncomingHttpHeaders; body: string }

/** `answers`: the status of each call in turn, the last one of all that follow. */
export async function startHookServer(
  t: TestContext,
  answers: { status: number; location?: string }[] = [{ status: 204 }],
): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = []
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { status, location } = answers[Math.min(calls.length, answers.length - 1)]!
      calls.push({
        path: request.url!,
        headers: request.headers,
        body: Buffer.concat(parts).toString('utf8'),
      })
      response.writeHead(status, location === undefined ? {} : { location }).end('thanks')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, calls }
}
