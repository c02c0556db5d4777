/** Which tests a file of tests holds, by its text: for whoever names one of them. */
import { readFileSync } from 'node:fs'

const CALL =
  /(?:^|[^\w.]|\bt\.)(?:test|it)(?:\.\w+)?\(\s*('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)/g

/** Whether the text of a file names such a test. A name that is made of parts may have anything in them. */
export function namesTest(text: string, name: string): boolean {
  for (const [, quoted] of text.matchAll(CALL)) if (patternOf(quoted!).test(name)) return true
  return false
}

export function fileNamesTest(path: string, name: string): boolean {
  return namesTest(readFileSync(path, 'utf8'), name)
}

function patternOf(quoted: string): RegExp {
  const inner = quoted.slice(1, -1).replaceAll(/\\(.)/g, '$1')
  const parts = quoted.startsWith('`') ? inner.split(/\$\{[^}]*\}/) : [inner]
  return new RegExp(`^${parts.map(RegExp.escape).join('.+')}$`, 's')
}
