import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProcess } from './process-identity.ts'

/**
 * Who uses an embedded PostgreSQL: a file per process, named by its pid. The server, a separate worker and
 * the command line may share one; the last client to leave stops it. Files of dead processes count for
 * nothing.
 */
export async function addClient(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const self = await findProcess(process.pid)
  await writeFile(join(folder, String(process.pid)), self?.startedAt ?? '')
}

/** Takes this process off the list; true when somebody else is still on it. */
export async function removeClient(folder: string): Promise<boolean> {
  await rm(join(folder, String(process.pid)), { force: true })
  let others = false
  for (const name of await readdir(folder)) {
    const startedAt = await readFile(join(folder, name), 'utf8').catch(() => null)
    if (startedAt === null) continue // left in this moment
    const client = await findProcess(Number(name))
    if (client !== null && client.startedAt === startedAt) others = true
    else await rm(join(folder, name), { force: true })
  }
  return others
}
