import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HttpParts } from './parts.ts'

const WEB_FOLDER = fileURLToPath(new URL('../../web/build', import.meta.url))
const YEAR_S = 31_536_000
/** File names of these carry a hash of their content. */
const IMMUTABLE_PREFIX = '/_app/immutable/'

/**
 * Everything outside /api: the files of the built page, and its index for any other address that a browser
 * opens. Nothing under /api ever answers HTML: clients that asked for JSON take it for a broken server.
 */
export async function addStaticWeb(
  app: FastifyInstance,
  parts: Pick<HttpParts, 'log'> & {
    findOrigins?(): Promise<PageOrigins>
  },
  webFolder: string = WEB_FOLDER,
): Promise<void> {
  const index = await readIndex(webFolder)
  if (index === null) parts.log.warn({ folder: webFolder }, 'the web page is not built: run `npm run build`')

  const findOrigins = async () =>
    (await parts.findOrigins?.().catch((error: Error) => {
      parts.log.warn({ error: error.message }, 'the page can use nothing that is not sent by us')
    })) ?? OURS_ALONE

  const answerNotFound = async (request: FastifyRequest, reply: FastifyReply) => {
    const isPage =
      (request.method === 'GET' || request.method === 'HEAD') &&
      !isApi(request.url) &&
      !request.url.startsWith(IMMUTABLE_PREFIX) &&
      // The front page goes to everybody: programs that watch whether the server lives ask for it, and accept
      // any type.
      (request.url.split('?')[0] === '/' || (request.headers.accept ?? '').includes('text/html'))
    if (!isPage)
      return reply.status(404).send({ message: `Cannot ${request.method} ${request.url.split('?')[0]}` })
    return sendPage(reply, index, await findOrigins())
  }
  app.setNotFoundHandler(answerNotFound)
  if (index === null) return

  await app.register(fastifyStatic, {
    root: webFolder,
    serve: false,
    preCompressed: true,
    cacheControl: false,
  })
  app.get('/*', { config: { access: { who: 'public' } } }, async (request, reply) => {
    const path = request.url.split('?')[0]!
    if (isApi(path) || path === '/' || path === '/index.html') return answerNotFound(request, reply)
    const isImmutable = path.startsWith(IMMUTABLE_PREFIX)
    reply.header('cache-control', isImmutable ? `public,max-age=${YEAR_S},immutable` : 'no-cache')
    // sendFile decodes the path, keeps it inside the folder and calls the 404 handler for what is not there.
    return reply.sendFile(decodePath(path))
  })
}

function isApi(url: string): boolean {
  return /^\/api(\/|\?|$)/.test(url)
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

function sendPage(reply: FastifyReply, html: string | null, origins: PageOrigins): FastifyReply {
  reply.header('cache-control', 'no-store').type('text/html; charset=utf-8')
  if (html === null) return reply.status(503).send(MISSING_PAGE)
  return reply.header('content-security-policy', pagePolicy(html, origins)).send(html)
}

async function readIndex(folder: string): Promise<string | null> {
  try {
    return await readFile(join(folder, 'index.html'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/**
 * Other origins than ours: those that pictures and videos may come from, and the buckets to which the page
 * sends requests with presigned URLs.
 */
export type PageOrigins = { media: readonly string[]; buckets: readonly string[] }

const OURS_ALONE: PageOrigins = { media: [], buckets: [] }

/**
 * Only our own files, and the page's own inline scripts by their hash: a photo's name or description can't
 * run anything. Pictures and videos also from where the configuration lets clients be redirected to, requests
 * also to the buckets.
 */
export function pagePolicy(html: string, origins: PageOrigins = OURS_ALONE): string {
  const media = origins.media.map((origin) => ` ${origin}`).join('')
  const hashes = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash('sha256').update(script!).digest('base64')}'`,
  )
  return [
    "default-src 'self'",
    `script-src ${["'self'", ...hashes].join(' ')}`,
    // Svelte sets style attributes for transitions and positions.
    "style-src 'self' 'unsafe-inline'",
    `img-src 'self' data: blob:${media}`,
    `media-src 'self' blob:${media}`,
    "font-src 'self' data:",
    "worker-src 'self' blob:",
    // Presigned URLs lead there.
    ["connect-src 'self'", ...origins.buckets].join(' '),
    "object-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')
}

const MISSING_PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Glassine</title>
<h1>The web page is not built</h1>
<p>The server runs and its API answers. Build the page with <code>npm run build</code> and restart.</p>
`
