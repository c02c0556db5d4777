/**
 * Every route of the servers that a test builds, as the web framework itself registers them: a new route is
 * there without anybody listing it.
 */
import diagnosticsChannel from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import type { Access } from '../../../src/library/access.ts'

export type Route = { method: string; url: string; access: Access }

/** Methods that change nothing. */
const SAFE = ['GET', 'HEAD', 'OPTIONS']

/** Runs `build`, and gives back what it built and the routes that it registered. */
export async function withRoutes<Built>(
  build: () => Promise<Built>,
): Promise<{ built: Built; routes: Route[] }> {
  const routes: Route[] = []
  const begin = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', ({ method, url, config }) => {
      const { access } = config as { access: Access }
      for (const one of [method].flat()) if (one !== 'HEAD') routes.push({ method: one, url, access })
    })
  }
  diagnosticsChannel.subscribe('fastify.initialization', begin)
  try {
    return { built: await build(), routes }
  } finally {
    diagnosticsChannel.unsubscribe('fastify.initialization', begin)
  }
}

export function changesState({ method }: Route): boolean {
  return !SAFE.includes(method)
}

/** The path with these values for its parameters; others get `fallback`. */
export function pathOf({ url }: Route, values: Record<string, string>, fallback: string): string {
  return url.replaceAll(/:(\w+)/g, (_, name: string) => values[name] ?? fallback)
}
