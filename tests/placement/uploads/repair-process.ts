/**
 * Repairs one object out of a staged file, in a process of its own that dies by kill -9 where it is told.
 * argv: JSON.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { connectDatabase } from '../../../src/database/connect.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { openPlacement } from '../../../src/placement/open.ts'
import { ensureCopy } from '../../../src/placement/uploads/repair.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { locationOfBackend, policyOf } from '../../support/placement.ts'

const { databaseUrl, mediaLocation, objectId, path, dies } = JSON.parse(process.argv[2] ?? '')
const { db } = connectDatabase(databaseUrl, silentLog)
const disk = openDiskBackend({ root: mediaLocation, log: silentLog })
const die = (where: string) => {
  if (where === dies) process.kill(process.pid, 'SIGKILL')
}
const backend = {
  ...disk,
  localFiles: {
    ...disk.localFiles,
    async adopt(...given: Parameters<typeof disk.localFiles.adopt>) {
      die('before the bytes')
      const held = await disk.localFiles.adopt(...given)
      die('after the bytes')
      return held
    },
  },
}
const placement = await openPlacement({
  db,
  log: silentLog,
  locations: [locationOfBackend('local', 'disk', backend)],
  localId: 'local',
  mediaLocation,
  policy: policyOf(['local']),
  isAwaited: isOfUnendedUpload,
})
const bytes = await readFile(path)
await ensureCopy(placement, objectId, {
  path,
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest(),
})
process.exit(0)
