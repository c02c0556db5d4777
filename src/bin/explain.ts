import { ConfigError } from '../config/mistakes.ts'
import { AppError } from '../errors.ts'

/** By the code of the operating system. */
const REMEDIES: Record<string, string> = {
  EACCES: 'make it writable, or set GLASSINE_DATA to another folder',
  EPERM: 'start as the user who owns it, or set GLASSINE_DATA to another folder',
  EROFS:
    'its disk is not mounted, or is mounted read-only: mount it for writing, or set GLASSINE_DATA to another folder',
  ENOSPC: 'its disk is full, or can take no more files: free some room, then start again. Nothing is lost',
  EDQUOT: 'the disk quota of its user is used up: free some room, then start again. Nothing is lost',
  ENOTDIR: 'there is a file where a folder is expected: move it away, or set GLASSINE_DATA to another folder',
  EEXIST: 'there is a file where a folder is expected: move it away, or set GLASSINE_DATA to another folder',
  EISDIR: 'there is a folder where a file is expected: move it away',
  ENAMETOOLONG: 'choose a folder with a shorter path',
  EMFILE: 'this process may open too few files: raise the limit (ulimit -n 4096)',
  ENFILE: 'this machine has too many files open: end other programs',
  ENOMEM: 'this machine has no memory left: end other programs',
  EIO: 'its disk can no longer be read or written: check the disk first (dmesg)',
}

/** By the SQLSTATE of the database. */
const SQL_REMEDIES: readonly [RegExp, string][] = [
  [/^53100$/, 'Its disk is full: free some room there, then start again. Nothing is lost'],
  [/^53200$/, 'It has too little memory: end other programs, or give it more'],
  [/^53300$/, 'It takes no more connections: end other programs that use it, or raise max_connections'],
  [/^57P0[1-5]$/, 'It is starting or ending: start again in a moment'],
  [/^42501$/, 'Its user lacks a right: make it the owner of the database'],
  [/^28/, 'The user or the password is wrong: check database.url'],
  [/^(58|XX)/, 'One of its files is missing or damaged: check its disk, and restore a backup'],
]

/**
 * The message about an error for a person at a terminal: a sentence with a remedy where one is known, else
 * the stack.
 * @param begin what could not be done, before the sentence; not before mistakes of the configuration
 */
export function explain(error: unknown, begin = ''): string {
  if (error instanceof ConfigError) return error.message
  if (error instanceof AppError) return `${begin}${error.message}`
  const { code, syscall, port, address } = error as NodeJS.ErrnoException & {
    port?: number
    address?: string
  }
  if (code === 'EADDRINUSE') {
    return `${begin}Port ${port} of ${address} is in use: end what uses it, or set GLASSINE_PORT to another one.`
  }
  if (code === 'EACCES' && port !== undefined) {
    return `${begin}Port ${port} needs privileges: set GLASSINE_PORT to one above 1023.`
  }
  if (code === 'EADDRNOTAVAIL') {
    return `${begin}This machine has no address ${address}: set GLASSINE_HOST to one of its own, or 0.0.0.0.`
  }
  // What Node says of a folder and those above it on a disk that may only be read.
  const remedy = REMEDIES[code === 'ENOENT' && syscall === 'mkdir' ? 'EROFS' : (code ?? '')]
  if (remedy !== undefined && error instanceof Error) return `${begin}${error.message}: ${remedy}.`
  const state = SQL_REMEDIES.find(([pattern]) => pattern.test(code ?? ''))
  if (state !== undefined && error instanceof Error)
    return `${begin}The database says: ${error.message}. ${state[1]}.`
  return `${begin}${error instanceof Error ? error.stack : String(error)}`
}
