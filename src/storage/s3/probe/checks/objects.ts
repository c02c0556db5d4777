import { DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import type { ObjectKey } from '../../../backend.ts'
import { isStorageError } from '../../../backend.ts'
import { noProblem, problem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import { deleteS3 } from '../../delete.ts'
import { iamPolicy } from './paste.ts'
import { exists, type Probe, putRaw, readRaw, refusalOf, someBytes } from './probing.ts'

export async function checkRanges(probe: Probe): Promise<ProbeFinding[]> {
  const key = probe.key('ranges')
  const bytes = someBytes(1000)
  await putRaw(probe, key, bytes)
  const wanted: [string, Buffer, string][] = [
    ['bytes=0-0', bytes.subarray(0, 1), 'bytes 0-0/1000'],
    ['bytes=999-999', bytes.subarray(999), 'bytes 999-999/1000'],
    ['bytes=100-', bytes.subarray(100), 'bytes 100-999/1000'],
    ['bytes=-10', bytes.subarray(990), 'bytes 990-999/1000'],
    ['bytes=990-2000', bytes.subarray(990), 'bytes 990-999/1000'],
  ]
  for (const [range, expected, contentRange] of wanted) {
    const got = await readRaw(probe, key, range)
    if (!got.bytes.equals(expected) || got.contentRange !== contentRange) {
      const detail = `${range} of 1,000 bytes gave ${got.bytes.length} bytes and Content-Range ${got.contentRange}`
      return [problem('ranges', detail, 'videos cannot be played from this service: use another')]
    }
  }
  if ((await refusalOf(() => readRaw(probe, key, 'bytes=1000-'))) === null) {
    return [problem('ranges', 'a range past the end is not refused', 'use another service')]
  }
  return [noProblem('ranges', 'first, last, open, suffix and past the end are answered as they should be')]
}

/** Every key is listed right after its put, over several pages. */
export async function checkListing(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const list = probe.key('list')
  const keys = Array.from({ length: 5 }, (_, n) => probe.key(`${list.slice(probe.folder.length)}/${n}`))
  await Promise.all(keys.map((key) => putRaw(probe, key, someBytes(10))))
  const found: string[] = []
  let pages = 0
  let token: string | undefined
  do {
    const command = new ListObjectsV2Command({
      Bucket: bucket.settings.bucket,
      Prefix: bucket.fullKey(`${list}/`),
      MaxKeys: 2,
      ContinuationToken: token,
    })
    const page = await bucket.call('ListObjectsV2', undefined, (options) =>
      bucket.client.send(command, options),
    )
    for (const { Key } of page.Contents ?? []) found.push((Key ?? '').slice(bucket.settings.prefix.length))
    token = page.IsTruncated ? page.NextContinuationToken : undefined
    pages += 1
  } while (token !== undefined && pages < 10)
  if (found.toSorted().join() !== keys.join()) {
    const detail = `of 5 keys ${new Set(found).size} were listed, on ${pages} pages`
    return [problem('listing', detail, 'reconciling with this service is not possible: use another')]
  }
  probe.traits.listsInOrder = found.join() === keys.join()
  const order = found.join() === keys.join() ? 'in order' : 'in no order, which Glassine does not mind'
  return [noProblem('listing', `5 keys on ${pages} pages, right after their puts, ${order}`)]
}

/** A delete succeeds for a key that is not there, and leaves nothing to be found. */
export async function checkDelete(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const keys = ['delete/one', 'delete/two', 'delete/three'].map((name) => probe.key(name) as ObjectKey)
  const missing = probe.key('delete/never-put') as ObjectKey
  for (const key of keys) await putRaw(probe, key, someBytes(10))
  await deleteS3(bucket, [keys[0]!], undefined)
  await deleteS3(bucket, [missing], undefined)
  const together = await deleteTogether(probe, [...keys.slice(1), missing])
  const left: string[] = []
  for (const key of keys) if (await exists(probe, key)) left.push(key)
  if (left.length > 0) {
    const detail = `after their deletion ${left.length} of 3 keys are still there`
    const remedy = 'give the credentials s3:DeleteObject on the bucket'
    return [problem('delete', detail, remedy, [iamPolicy(probe)])]
  }
  return [noProblem('delete', `one by one and ${together}; a key that is not there counts as deleted`)]
}

async function deleteTogether(probe: Probe, keys: ObjectKey[]): Promise<string> {
  const { bucket } = probe
  const command = new DeleteObjectsCommand({
    Bucket: bucket.settings.bucket,
    Delete: { Objects: keys.map((key) => ({ Key: bucket.fullKey(key) })), Quiet: true },
  })
  try {
    const answer = await bucket.call('DeleteObjects', undefined, (options) =>
      bucket.client.send(command, options),
    )
    probe.traits.deletesMany = (answer.Errors ?? []).length === 0
    if (probe.traits.deletesMany) return 'many in one request'
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    probe.traits.deletesMany = false
  }
  await deleteS3(bucket, keys, undefined)
  return 'many one after another (DeleteObjects does not work here)'
}
