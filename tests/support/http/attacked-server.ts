/** Starts `tests/http/server/throw-away-server.ts` and talks to it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { StatedRoute } from '../../../src/http/server.ts'

/** `peakBytes`: the most that it ever held. */
export type ServerFacts = { rssBytes: number; peakBytes: number; longestStallMs: number }
export type AttackedServer = {
  url: string
  /** A session of its administrator. */
  token: string
  routes: StatedRoute[]
  /** Since the last time that it was asked. */
  facts(): Promise<ServerFacts>
  /** The same after a collection of garbage. */
  collected(): Promise<ServerFacts>
}

export async function startAttackedServer(t: TestContext): Promise<AttackedServer> {
  const child: ChildProcess = fork(join(import.meta.dirname, '../../http/server/throw-away-server.ts'), {
    execArgv: ['--expose-gc', '--max-semi-space-size=4'],
    env: { ...process.env, MALLOC_ARENA_MAX: '2' },
  })
  const exited = once(child, 'exit')
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) child.send('end')
    await exited
  })
  const hear = async <Message>(): Promise<Message> => {
    const gone = exited.then(([code]) => {
      throw new Error(`the server ended with ${code}`)
    })
    const [message] = await Promise.race([once(child, 'message'), gone])
    return message as Message
  }
  const started = await hear<Pick<AttackedServer, 'url' | 'token' | 'routes'>>()
  const ask = (question: 'facts' | 'collect') => {
    child.send(question)
    return hear<ServerFacts>()
  }
  return { ...started, facts: () => ask('facts'), collected: () => ask('collect') }
}
