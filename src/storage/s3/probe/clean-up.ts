import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import type { ObjectKey } from '../../backend.ts'
import { drawback, noProblem } from '../../probe-findings.ts'
import type { ProbeFinding } from '../../probe-report.ts'
import { deleteS3 } from '../delete.ts'
import { PROBE_FOLDER, type Probe, refusalOf } from './checks/probing.ts'

/** No probe takes so long: what is older was left by one that was killed. */
const LEFTOVER_MS = 24 * 3_600_000

/**
 * Removes what this probe made, uploads of checks that were cut short included, and what killed ones left;
 * says so where it cannot.
 */
export async function checkCleanUp(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket, folder, made, traits } = probe
  const at = { Bucket: bucket.settings.bucket, Prefix: bucket.fullKey(PROBE_FOLDER) }
  const page = await bucket.call('ListObjectsV2', undefined, (options) =>
    bucket.client.send(new ListObjectsV2Command(at), options),
  )
  const left = new Set(made)
  for (const { Key, LastModified } of page.Contents ?? []) {
    if (Key === undefined) continue
    const key = Key.slice(bucket.settings.prefix.length)
    if (key.startsWith(folder) || isLeftover(LastModified)) left.add(key)
  }
  const keys = [...left] as ObjectKey[]
  await deleteS3(bucket, keys, undefined)
  const stays = [await abortUploads(probe)]
  if (traits.keepsDeleted) {
    stays.push(await refusalOf(() => deleteS3(withVersions(bucket), keys, undefined)))
  }
  const why = stays.filter((text) => text !== null)
  const detail = `removed what the probe had made, ${left.size} keys`
  if (why.length === 0) return [noProblem('clean-up', detail)]
  const remedy = 'nothing to do: what stays is some 15 MiB at most, out of sight'
  return [drawback('clean-up', `${detail}; not all of it could be looked for: ${why.join('; ')}`, remedy)]
}

function isLeftover(at: Date | undefined): boolean {
  return at !== undefined && Date.now() - at.getTime() > LEFTOVER_MS
}

/** The same bucket, where deleting a key means all of its versions. */
function withVersions(bucket: Probe['bucket']): Probe['bucket'] {
  return { ...bucket, provider: { ...bucket.provider, deleteVersions: true } }
}

async function abortUploads({ bucket, folder }: Probe): Promise<string | null> {
  const { Bucket, Prefix } = { Bucket: bucket.settings.bucket, Prefix: bucket.fullKey(PROBE_FOLDER) }
  return refusalOf(async () => {
    const { Uploads } = await bucket.call('ListMultipartUploads', undefined, (options) =>
      bucket.client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }), options),
    )
    for (const { Key, UploadId, Initiated } of Uploads ?? []) {
      // Ceph lists other prefixes as well.
      if (Key === undefined || !Key.startsWith(Prefix)) continue
      if (!Key.startsWith(bucket.fullKey(folder)) && !isLeftover(Initiated)) continue
      const command = new AbortMultipartUploadCommand({ Bucket, Key, UploadId })
      await bucket.call('AbortMultipartUpload', undefined, (options) => bucket.client.send(command, options))
    }
  })
}
