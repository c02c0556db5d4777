/**
 * Loaded before each process of a mutated run (`NODE_OPTIONS=--import=...`, which their children inherit):
 * replaces text of one file while it is loaded. A migration is read as a file, all else is a module.
 */
import fs from 'node:fs'
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import { type AppliedMutation, MUTATION_VARIABLE, mutate } from './mutation.ts'

const given = process.env[MUTATION_VARIABLE]
if (given !== undefined) apply(JSON.parse(given) as AppliedMutation)

function apply(mutation: AppliedMutation): void {
  const { href } = new URL(`../../${mutation.file}`, import.meta.url)
  if (href.endsWith('.sql')) mutateReading(href, mutation)
  else
    registerHooks({
      load(url, context, nextLoad) {
        const loaded = nextLoad(url, context)
        if (url !== href) return loaded
        const text = loaded.source == null ? fs.readFileSync(new URL(url), 'utf8') : String(loaded.source)
        return { ...loaded, source: mutate(text, mutation) }
      },
    })
}

function mutateReading(href: string, mutation: AppliedMutation): void {
  const { readFile } = fs.promises
  const read = async (...args: Parameters<typeof readFile>) => {
    const found: unknown = await readFile(...args)
    const [path] = args
    const isIt = path instanceof URL ? path.href === href : pathToFileURL(String(path)).href === href
    return isIt && typeof found === 'string' ? mutate(found, mutation) : found
  }
  fs.promises.readFile = read as typeof readFile
  syncBuiltinESMExports()
}
