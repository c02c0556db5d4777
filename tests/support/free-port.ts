import { once } from 'node:events'
import { createServer, type Server } from 'node:net'

/**
 * Below those that Linux hands out by itself (32,768 and up), to outgoing connections and to whoever listens
 * on port 0: between our look and the moment at which a server binds there, or binds there again after a
 * kill, one of those could be taken.
 */
const LOWEST = 20_000
const HIGHEST = 32_767

/**
 * The first of `count` ports in a row on which nobody listens. Chosen at random, so that files of tests that
 * run side by side differ.
 */
export async function freePorts(count: number): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const first = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 2 - count))
    const held = await Promise.allSettled(Array.from({ length: count }, (_, n) => hold(first + n)))
    for (const end of held) if (end.status === 'fulfilled') await new Promise((done) => end.value.close(done))
    if (held.every(({ status }) => status === 'fulfilled')) return first
  }
  throw new Error('no free ports')
}

export function freePort(): Promise<number> {
  return freePorts(1)
}

async function hold(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}
