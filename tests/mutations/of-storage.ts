import type { Mutation } from './mutation.ts'

const S3_FAULTS = 'tests/storage/s3/faults.test.ts'
const SYNCS = 'tests/storage/disk/syncs.test.ts'
const SUITE = 'tests/storage/contract/storage-suite.ts'
const DISK = 'src/storage/disk/disk.ts'

/** What a disk and a bucket are asked for, and how their answers are read. */
export const ofStorage: Mutation[] = [
  {
    name: 'an-upload-is-not-synced',
    file: 'src/placement/uploads/stage.ts',
    changes: [{ from: '    await syncs.run(undefined, () => file.sync())\n', to: '' }],
    failing: [{ file: SYNCS, name: 'an upload is on the disk before anything refers to it' }],
    why: 'After a power cut an acknowledged photo is a file of zeros.',
  },
  {
    name: 'a-made-file-is-not-synced',
    file: 'src/placement/uploads/stage.ts',
    changes: [{ from: '    await file.sync()\n  } finally {', to: '  } finally {' }],
    failing: [
      { file: SYNCS, name: 'a file that this process made is on the disk before anything refers to it' },
    ],
    why: 'After a power cut a verified backup or preview is a file of zeros.',
  },
  {
    name: 'a-file-of-the-disk-is-not-synced',
    file: DISK,
    changes: [
      {
        from: '          await handle.sync()\n          await place(path, key)',
        to: '          await place(path, key)',
      },
    ],
    failing: [{ file: SYNCS, name: 'a put is on the disk, bytes first, then each folder that names it' }],
    why: 'A copy that another one was given up for would be a file of zeros after a power cut.',
  },
  {
    name: 'the-name-of-a-file-is-not-synced',
    file: DISK,
    changes: [{ from: '        await syncFolder(folder)\n', to: '' }],
    failing: [
      { file: SYNCS, name: 'a put is on the disk, bytes first, then each folder that names it' },
      { file: SYNCS, name: 'an upload that is adopted is on the disk under its name' },
    ],
    why: 'After a power cut the bytes are there, and no name leads to them.',
  },
  {
    name: 'a-new-folder-is-not-synced',
    file: 'src/storage/disk/folders.ts',
    changes: [{ from: '    await syncFolder(dirname(path))\n', to: '' }],
    failing: [{ file: SYNCS, name: 'a put is on the disk, bytes first, then each folder that names it' }],
    why: 'After a power cut the first photo of a folder is gone with its folder.',
  },
  {
    name: 'what-is-stored-is-not-compared-with-what-was-announced',
    file: 'src/storage/bytes/read-body.ts',
    changes: [{ from: 'if (checkSha256 && actual !== expected)', to: "if (checkSha256 && actual === '')" }],
    failing: [
      {
        file: 'tests/storage/contract/disk.test.ts',
        name: 'a reader of 200000 bytes that has one wrong bit',
        writtenIn: SUITE,
      },
    ],
    why: 'A damaged source would be copied, and its copy be proven by itself.',
  },
  {
    name: 'each-write-has-the-same-key',
    file: 'src/placement/keys.ts',
    changes: [
      { from: "randomBytes(16).toString('hex')", to: "randomBytes(0).toString('hex').padEnd(32, '0')" },
    ],
    failing: [
      {
        file: 'tests/placement/lifecycle/move-back.test.ts',
        name: 'a truncated file that lies on the disk is not taken for the copy that is moved back',
      },
    ],
    why: 'What lies there from before would meet the new bytes.',
  },
  {
    name: 'a-second-put-replaces-the-first',
    file: 'src/storage/s3/writes/put.ts',
    changes: [{ from: "    ...(features.conditionalPut && { 'if-none-match': '*' }),\n", to: '' }],
    failing: [
      {
        file: 'tests/storage/contract/s3-strict.test.ts',
        name: 'a second put is refused and the first bytes stay',
        writtenIn: SUITE,
      },
    ],
    why: 'Two writers of one key would each believe that their bytes are there.',
  },
  {
    name: 'other-bytes-under-the-key-are-taken-for-ours',
    file: 'src/storage/s3/writes/put.ts',
    changes: [
      {
        from: "  if (held.answer === 'absent') throw error\n",
        to: "  if (held.answer === 'absent') throw error\n  if (evidence) return { key, size: body.size, modifiedAt: new Date(), attested: [], proof: 'attested', evidence }\n",
      },
    ],
    failing: [
      {
        file: S3_FAULTS,
        name: '500 after the commit of somebody else’s bytes: the key is taken, and they stay',
      },
    ],
    why: 'A put without a clear answer would be proven by whatever lies there.',
  },
  {
    name: 'a-put-that-says-other-bytes-is-well',
    file: 'src/storage/s3/writes/put.ts',
    changes: [{ from: '    if (wrong !== undefined) {', to: '    if (wrong === null) {' }],
    failing: [
      {
        file: S3_FAULTS,
        name: 'a service that says it holds other bytes: corrupt, and what it holds stays to be looked at',
      },
    ],
    why: 'The bucket itself says that it keeps something else.',
  },
  {
    name: 'a-download-without-a-length-is-whole',
    file: 'src/storage/s3/reads/read.ts',
    changes: [
      {
        from: "  if (ContentLength === undefined)\n    throw oddAnswer(key, 'has no Content-Length, so a short one could not be told')\n",
        to: '  if (ContentLength === undefined) return 0\n',
      },
    ],
    failing: [
      {
        file: S3_FAULTS,
        name: 'a download that names no length is refused: its end could not be told from a cut',
      },
    ],
    why: 'A body that was cut would end as a success.',
  },
  {
    name: 'a-range-is-not-compared-with-what-was-asked',
    file: 'src/storage/s3/reads/read.ts',
    changes: [
      { from: '    Number(first) !== range.start ||\n', to: '' },
      { from: '    Number(last) !== expectedLast ||\n', to: '' },
      { from: '    ContentLength !== expectedLast - range.start + 1\n', to: '    ContentLength < 0\n' },
    ],
    failing: [{ file: S3_FAULTS, name: 'an answer to another range than was asked for is refused' }],
    why: 'The bytes of another place would stand in the middle of a film.',
  },
  {
    name: 'a-head-without-a-length-is-of-an-empty-file',
    file: 'src/storage/s3/reads/read.ts',
    changes: [
      {
        from: '    if (ContentLength === undefined)\n      throw new',
        to: '    if (ContentLength === null)\n      throw new',
      },
      {
        from: '{ ...answer, ContentLength }, bucket.features)',
        to: '{ ...answer, ContentLength: ContentLength ?? 0 }, bucket.features)',
      },
    ],
    failing: [
      {
        file: 'tests/placement/removal/head-without-length.test.ts',
        name: 'the right bytes of an upload that the ledger does not know as acknowledged are not taken for an empty file',
      },
    ],
    why: 'A proxy that drops a header would make right bytes wrong.',
  },
  {
    name: 'a-deletion-that-failed-in-part-is-done',
    file: 'src/storage/s3/delete.ts',
    changes: [{ from: 'if (failures.length === 0) return\n', to: 'if (failures.length >= 0) return\n' }],
    failing: [{ file: S3_FAULTS, name: 'a delete that is refused in part fails, after all were tried' }],
    why: 'Bytes that were to go would stay without a row.',
  },
]
