import { statSync } from 'node:fs'

/** Keys whose values nobody else should read, by the last part of their path. */
const SECRETS = ['secretAccessKey', 'privateKey', 'secret', 'password', 'url', 'key'] as const
const EVERYBODY_READS = 0o004

/**
 * A warning where the file holds a secret in its own words (not as `${NAME}`) and every user of this machine
 * may read it. Names keys, never a value. `document` is what the YAML says.
 */
export function exposedSecrets(file: string | null, document: unknown): string[] {
  if (file === null || (statSync(file).mode & EVERYBODY_READS) === 0) return []
  const paths = secretsOf(document, [])
  if (paths.length === 0) return []
  return [
    `${file} holds ${paths.join(' and ')}, and every user of this machine may read it: chmod 600 it, or write \${NAME} ` +
      'and give the value in the environment',
  ]
}

function secretsOf(value: unknown, path: string[]): string[] {
  if (typeof value === 'string') return isSecret(path.at(-1) ?? '', value) ? [path.join('.')] : []
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, inner]) => secretsOf(inner, [...path, key]))
}

function isSecret(key: string, text: string): boolean {
  if (!(SECRETS as readonly string[]).includes(key) || /\$\{[^}]*\}/.test(text)) return false
  // Of an address, its password.
  return key !== 'url' || (URL.canParse(text) && new URL(text).password !== '')
}
