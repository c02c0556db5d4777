import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** Half a minute on a good line, with 200 MB to fetch on a bad one. */
const INSTALL_LIMIT_MS = 600_000

/**
 * Installs packages of Debian's without their recommendations. Only root may. Throws what apt-get fails with.
 */
export async function installPackages(...names: string[]): Promise<void> {
  const apt = (...words: string[]) =>
    run('apt-get', words, {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: INSTALL_LIMIT_MS,
      maxBuffer: 64e6,
    })
  await apt('update')
  await apt('install', '--yes', '--no-install-recommends', ...names)
}
