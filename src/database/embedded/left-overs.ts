/**
 * What a start finds of a PostgreSQL that nobody has ended in order. Call with the lock of the cluster
 * held.
 */
import { rm, writeFile } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ClusterPaths } from './cluster.ts'
import { endOlder, forgetOlder, waitForSilence, wasOlder } from './older.ts'
import { findPostmaster, isListening, readLockFile, SOCKET_FOLDER, socketOf } from './postmaster.ts'

/**
 * Clears the way for a new PostgreSQL. That we hold the lock says that none of ours lives; one of an older
 * Glassine, or one that somebody has started by hand, holds no lock, and is looked for by all that it leaves.
 *
 * PostgreSQL takes any living process of the pid in a left-over lock file for its own kind and refuses to
 * start; after a restart of a container, that pid is often somebody else. It makes an exception for its
 * parent process, so we write ourselves in: the file stays, and with it the check that no old backend still
 * holds the shared memory.
 * @throws AppError conflict where one runs
 */
export async function clearLeftOvers(
  paths: ClusterPaths,
  log: Log,
  rules: { silenceMs: number },
): Promise<void> {
  const isOlder = await wasOlder(paths)
  if (isOlder) await endOlder(paths, log)
  const running = await findPostmaster(paths)
  if (running !== null || (await isListening(paths))) {
    throw new AppError(
      'conflict',
      `A PostgreSQL that this Glassine has not started ${running === null ? '' : `(process ${running.pid}) `}` +
        `runs on ${paths.name}. End it, then start again.`,
    )
  }
  const lock = await readLockFile(paths)
  // Empty before it listens.
  const isForeign = lock !== null && lock.socketFolder !== '' && lock.socketFolder !== SOCKET_FOLDER
  if (lock !== null && (isOlder || isForeign)) await waitForSilence(paths, log, rules.silenceMs)
  await forgetOlder(paths)
  // Its lock has a pid as well, which PostgreSQL believes.
  await rm(`${socketOf(paths.cluster)}.lock`, { force: true })
  if (lock === null) return
  await writeFile(paths.lockFile, [process.pid, ...lock.lines.slice(1)].join('\n'))
}
