import { fork } from 'node:child_process'
import { once } from 'node:events'

export type LimitProcess = { url: string; pid: number }

/** Runs a program of `limits/` as a process of its own until `stack` is disposed of. */
export async function startLimit(
  stack: AsyncDisposableStack,
  name: string,
  args: string[],
): Promise<LimitProcess> {
  const child = fork(new URL(`limits/${name}.ts`, import.meta.url), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  stack.defer(async () => {
    child.kill()
    await ended
  })
  const [port] = (await Promise.race([
    once(child, 'message'),
    ended.then(([code]) => {
      throw new Error(`${name} ended with ${String(code)}`)
    }),
  ])) as [number]
  return { url: `http://127.0.0.1:${port}`, pid: child.pid! }
}
