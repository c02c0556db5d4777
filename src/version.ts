import { readFileSync } from 'node:fs'

/** Glassine's own, as `0.1.0`; that of the API which it speaks is `API_VERSION`. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version
