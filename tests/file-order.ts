/**
 * The order in which files of tests begin: those that take longest first, so that none of them runs at the
 * end while the other lanes are empty.
 */

/**
 * What took more than 25 s of a whole run on two cores, the longest first; the end of `npm test` says what
 * does now. A place in this list decides nothing but the time of the run.
 */
export const LONGEST_FILES: readonly string[] = [
  'tests/acceptance/outages/errors-for-a-minute.test.ts',
  'tests/storage/contract/s3-strict.test.ts',
  'tests/crash/kill.test.ts',
  'tests/storage/contract/s3-swift.test.ts',
  'tests/acceptance/pages/direct-upload-browser.test.ts',
  'tests/crash/two-ledgers.test.ts',
  'tests/crash/matrix/matrix.test.ts',
  'tests/acceptance/pages/storage-page.test.ts',
  'tests/acceptance/pages/first-day.test.ts',
  'tests/storage/s3/probe/probe-quirks.test.ts',
  'tests/acceptance/immich-cli.test.ts',
  'tests/http/uploads/upload-s3-first.test.ts',
  'tests/http/send/right-bytes.test.ts',
  'tests/http/hostile/attacks.test.ts',
  'tests/http/access/credential-power.test.ts',
  'tests/storage/contract/s3-ceph.test.ts',
  'tests/http/uploads/restored-direct-upload.test.ts',
  'tests/http/send/media.test.ts',
  'tests/http/hostile/every-route.test.ts',
  'tests/http/uploads/duplicates.test.ts',
]

/** Those of the list first, in its order; the others as they come. */
export function longestFirst(files: readonly string[]): string[] {
  const listed = LONGEST_FILES.filter((file) => files.includes(file))
  return [...listed, ...files.filter((file) => !LONGEST_FILES.includes(file))]
}
