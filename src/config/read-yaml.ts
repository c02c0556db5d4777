import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'
import { ConfigError, type Mistake } from './mistakes.ts'

/**
 * What a YAML file holds. A key that stands there twice is a mistake beside others; what is no YAML at all
 * leaves nothing else to be looked at.
 * @throws ConfigError where it is not YAML
 */
export function readYaml(file: string): { document: unknown; mistakes: Mistake[] } {
  const text = readFileSync(file, 'utf8')
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: true })
  const mistakes = document.errors.map(({ code, pos: [at] }) => {
    const line = `line ${text.slice(0, at).split('\n').length}`
    return code === 'DUPLICATE_KEY'
      ? { path: [], wrong: `${line}: the key ${keyAt(text, at)} is there twice`, right: 'keep one of them' }
      : { path: [], wrong: `${line}: not YAML (${code})`, right: 'indent with spaces and quote unusual text' }
  })
  // One character too many is an error at each of those that follow it.
  const first = mistakes.filter(({ wrong }, at) => mistakes.findIndex((one) => one.wrong === wrong) === at)
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY')) throw new ConfigError(file, first)
  return { document: document.toJS() ?? {}, mistakes }
}

/** A key is no secret, as opposed to its value. */
function keyAt(text: string, at: number): string {
  return /^["']?([^"':\n]*)/.exec(text.slice(at))?.[1]?.trim() ?? ''
}
