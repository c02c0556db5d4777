/**
 * `npm run build`: the page's sources into build/, which the server answers from. With `--if-stale` only
 * where the sources are not those that build/ was made of: their hash stands in build/sources.sha256. Prints
 * one line.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { createBuilder } from 'vite'

const root = dirname(fileURLToPath(import.meta.url))
const target = join(root, 'build')
const stamp = join(target, 'sources.sha256')
/** What the result depends on. The lock file stands for every package. */
const SOURCES = [
  'src',
  'static',
  'vite.config.ts',
  'build.ts',
  'package.json',
  'tsconfig.json',
  '../package-lock.json',
  '../src/queue/queue-names.ts',
  // Words that the command line says as well.
  '../src/library/server/words',
]

async function main(): Promise<void> {
  // Vite and Kit find their files by the working directory, and npm may have been started anywhere.
  process.chdir(root)
  const hash = await hashSources()
  if (
    process.argv.includes('--if-stale') &&
    (await readStamp()) === hash &&
    existsSync(join(target, 'index.html'))
  ) {
    console.log('web page: up to date')
    return
  }
  const startedAt = performance.now()
  // A build that was cut short must not look like a finished one.
  await rm(stamp, { force: true })
  const builder = await createBuilder({ root, logLevel: 'error' }, null)
  // Kit and its adapter report to the console whatever the log level; this command says one line, or throws.
  const { log } = console
  console.log = () => {}
  await builder.buildApp().finally(() => {
    console.log = log
  })
  await compressAll()
  await writeFile(stamp, `${hash}\n`)
  console.log(`web page: built in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
}

/** What gets smaller; fonts and pictures are compressed already. */
const TEXTS = /\.(?:js|css|html|svg|json|txt)$/
/** Below this the headers weigh more than what is saved. */
const SMALLEST_BYTES = 1024

/** A Brotli and a gzip file beside each text, as small as they get: made once, sent for ever. */
async function compressAll(): Promise<void> {
  for (const file of await listFiles(target)) {
    if (!TEXTS.test(file)) continue
    const bytes = await readFile(file)
    if (bytes.length < SMALLEST_BYTES) continue
    await writeFile(
      `${file}.br`,
      brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
    )
    await writeFile(`${file}.gz`, gzipSync(bytes, { level: 9 }))
  }
}

/** SHA-256 over the names and bytes of all sources, in the order of their names. */
async function hashSources(): Promise<string> {
  const hash = createHash('sha256')
  for (const source of SOURCES) {
    for (const file of await listFiles(join(root, source))) {
      hash.update(`${relative(root, file)}\0`)
      hash.update(await readFile(file))
      hash.update('\0')
    }
  }
  return hash.digest('hex')
}

async function listFiles(path: string): Promise<string[]> {
  // A checkout without a lock file builds, too.
  if (!existsSync(path)) return []
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') return null
      throw error
    },
  )
  if (entries === null) return [path]
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

async function readStamp(): Promise<string | null> {
  return existsSync(stamp) ? (await readFile(stamp, 'utf8')).trim() : null
}

await main()
