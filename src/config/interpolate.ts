import type { Mistake } from './mistakes.ts'

const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g

/**
 * Replaces `${NAME}` in every text of a parsed YAML document by that environment variable; `$${` stays as
 * `${`. Values are put in after parsing, so that no secret can become syntax.
 */
export function interpolate(
  document: unknown,
  env: NodeJS.ProcessEnv,
): { value: unknown; mistakes: Mistake[] } {
  const mistakes: Mistake[] = []

  function visit(value: unknown, path: string[]): unknown {
    if (typeof value === 'string') return replace(value, path)
    if (Array.isArray(value)) return value.map((item, index) => visit(item, [...path, String(index)]))
    if (value !== null && typeof value === 'object') {
      // `key:` with nothing after it, all below it commented out, is as good as no key.
      const entries = Object.entries(value).filter(([, item]) => item !== null)
      return Object.fromEntries(entries.map(([key, item]) => [key, visit(item, [...path, key])]))
    }
    return value
  }

  function replace(text: string, path: string[]): string {
    return text.replace(REFERENCE, (whole, name: string | undefined) => {
      if (name === undefined) return '${'
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
        mistakes.push({
          path,
          wrong: `\`${whole}\` is not a reference to an environment variable`,
          right: `write \${NAME}, or $\${ for a plain \${`,
        })
        return ''
      }
      const found = env[name]
      if (found === undefined || found === '') {
        mistakes.push({
          path,
          wrong: `the environment variable ${name} is ${found === undefined ? 'not set' : 'empty'}`,
          right: `set ${name}, or remove this line`,
        })
        return ''
      }
      return found
    })
  }

  return { value: visit(document, []), mistakes }
}
