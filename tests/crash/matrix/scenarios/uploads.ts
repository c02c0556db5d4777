/** Bytes come in: by an upload of either strategy, or once more after they were lost. */
import type { UploadStrategy } from '../../../../src/config.ts'
import { deleteAssets } from '../../../../src/library/assets/trash.ts'
import type { Around, Given, Running, Scenario } from '../scenario.ts'
import { BUCKET, type Site } from '../site.ts'
import { keyAt, LARGE_BYTES, photoFile, rotOnDisk, settle } from './files.ts'
import { uploadFile } from './uploading.ts'

const SIDECAR = Buffer.from(
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>',
)

async function prepare({ site }: Around, bytes = 0): Promise<Given> {
  return { path: await photoFile(site.setup.folder, 'incoming.jpg', bytes) }
}

/** It is acknowledged when the function has returned, as the route answers then. */
async function uploadAndNote(
  site: Site,
  { given, manifest }: Pick<Running, 'given' | 'manifest'>,
  how: { strategy?: UploadStrategy; sidecar?: Buffer },
): Promise<void> {
  const { id, sha256 } = await uploadFile(site, given.path!, how)
  manifest.note({ what: 'asset', id, sha256 })
}

function uploadScenario(
  name: string,
  how: { strategy?: UploadStrategy; sidecar?: Buffer; bytes?: number },
): Scenario {
  return {
    name,
    role: 'server',
    prepare: (around) => prepare(around, how.bytes),
    run: (site, running) => uploadAndNote(site, running, how),
    // Without an answer the client sends all of it again.
    again: ({ site, manifest }, given) => uploadAndNote(site, { given, manifest }, how),
  }
}

/** An upload whose only copy is lost afterwards, which the ledger knows. Returns the path of the file. */
export async function prepareLost(around: Around, at: 'local' | typeof BUCKET): Promise<Given> {
  const given = await prepare(around)
  const { site, bucket } = around
  const { id } = await uploadFile(site, given.path!)
  await settle(around)
  const { original_object_id: objectId } = await site.db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  if (at === BUCKET) await bucket.stored.vanish(await keyAt(site, objectId))
  else await rotOnDisk(site, objectId)
  await site.db.updateTable('replica').set({ state: 'suspect' }).where('object_id', '=', objectId).execute()
  return given
}

/** The same file is sent once more, and heals it. */
const ofLost: Scenario = {
  ...uploadScenario('upload-of-lost', {}),
  isHealedByClient: true,
  prepare: (around) => prepareLost(around, BUCKET),
}
const ofRotten: Scenario = {
  ...uploadScenario('upload-of-rotten', {}),
  options: { originals: ['local'] },
  isHealedByClient: true,
  prepare: (around) => prepareLost(around, 'local'),
}

/** It is here already, in the trash and without its sidecar: then it comes out of there, and gets it. */
const duplicate: Scenario = {
  ...uploadScenario('upload-of-trashed', { sidecar: SIDECAR }),
  async prepare(around) {
    const given = await prepare(around)
    const { site } = around
    const { id } = await uploadFile(site, given.path!)
    await settle(around)
    await deleteAssets(site.db, site.setup.actor, [id], { force: false })
    return given
  },
}

export const UPLOADS: Scenario[] = [
  uploadScenario('upload', { sidecar: SIDECAR }),
  uploadScenario('upload-s3-first', { strategy: 's3-first' }),
  uploadScenario('upload-s3-first-in-parts', { strategy: 's3-first', bytes: LARGE_BYTES }),
  ofLost,
  ofRotten,
  duplicate,
]
