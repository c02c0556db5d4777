import type { Mutation } from './mutation.ts'

const TRASH = 'src/library/assets/trash.ts'
const CHOOSE = 'tests/placement/backups/choose-backup.test.ts'

/** What is acknowledged, what is deleted, and which backup is restored. */
export const ofLibrary: Mutation[] = [
  {
    name: 'an-upload-is-acknowledged-before-its-row-is-committed',
    file: 'src/placement/uploads/ingest.ts',
    changes: [
      {
        from: 'const result = await db.transaction().execute(async (tx) => {',
        to: 'const result = await new Promise<T>((answer, fail) => db.transaction().execute(async (tx) => {',
      },
      {
        from: 'const result = await commit(tx, object.id)',
        to: 'const result = await commit(tx, object.id)\n      answer(result)\n      await new Promise((resolve) => setTimeout(resolve, 400))',
      },
      {
        from: '      return result\n    })\n    writeThrough?.finish()',
        to: '      return result\n    }).catch(fail))\n    writeThrough?.finish()',
      },
    ],
    failing: [
      {
        file: 'tests/placement/lifecycle/offload.test.ts',
        name: 'when an ingest answers, everybody sees what it has committed',
      },
    ],
    why: 'A kill right after the answer would lose a photo that its owner has been told is safe.',
  },
  {
    name: 'a-failed-upload-stays-in-the-way-of-the-next',
    file: 'src/placement/uploads/ingest.ts',
    changes: [{ from: 'if (isBegun) await discardObject(placement, object.id, actor)', to: '' }],
    failing: [
      {
        file: 'tests/placement/lifecycle/offload.test.ts',
        name: 'an ingest whose commit fails leaves nothing, and the same bytes can be uploaded again',
      },
    ],
    why: 'Bytes that nobody was promised would lie there, and be asked after for ever.',
  },
  {
    name: 'a-photo-is-committed-without-its-job',
    file: 'src/library/uploads/uploads.ts',
    changes: [
      {
        from: 'await enqueueProcessing(tx, { id: assetId, ownerId: actor.userId })',
        to: 'void enqueueProcessing(db, { id: assetId, ownerId: actor.userId }).catch(() => undefined)',
      },
    ],
    failing: [
      {
        file: 'tests/http/uploads/whole-rows.test.ts',
        name: 'a photo is committed together with the job that processes it, or not at all',
      },
    ],
    why: 'A kill in between would leave a photo that nothing looks at again.',
  },
  {
    name: 'a-duplicate-needs-no-copy',
    file: 'src/placement/uploads/safe-copies.ts',
    changes: [
      {
        from: "    if (answer === 'same' || (answer === 'unknown' && isBelieved)) return true\n",
        to: '    if (isBelieved || answer) return true\n',
      },
      {
        from: 'if (isLocal(file) && (await isFileRight(placement, loaded.object, file))) return true',
        to: 'if (isLocal(file)) return true',
      },
    ],
    failing: [
      {
        file: 'tests/http/uploads/duplicates.test.ts',
        name: 'A3: a loss that nobody has noticed yet is noticed before sent bytes are thrown away',
      },
    ],
    why: 'A client deletes its file when it hears that it is a duplicate.',
  },
  {
    name: 'the-trash-is-emptied-at-once',
    file: TRASH,
    changes: [
      {
        from: 'const EXPIRED = sql<boolean>`(asset.deleted_at <',
        to: 'const EXPIRED = sql<boolean>`(asset.deleted_at is not null or asset.deleted_at <',
      },
    ],
    failing: [
      {
        file: 'tests/library/server/sweep.test.ts',
        name: 'the sweep finds what fell through, and nothing else',
      },
    ],
    why: 'What was deleted by mistake could not be brought back.',
  },
  {
    name: 'the-trash-believes-the-clock',
    file: TRASH,
    changes: [
      {
        from: 'lived_since(asset.deleted_at) >',
        to: "interval '1000 days' >",
      },
    ],
    failing: [
      {
        file: 'tests/library/clock.test.ts',
        name: 'A9: a clock that is 40 days ahead does not empty the trash, and what was lived through counts',
      },
    ],
    why: 'A clock that is 40 days ahead for a minute would empty the trash.',
  },
  {
    name: 'an-older-backup-is-restored-in-silence',
    file: 'src/placement/backups/choose-backup.ts',
    changes: [{ from: '    if (own[0] !== undefined) throw unusableNewest(own, found)\n', to: '' }],
    failing: [
      {
        file: CHOOSE,
        name: 'archived backups are named, with what to do, and none is restored in their place in silence',
      },
    ],
    why: 'The photos since that backup would belong to nothing.',
  },
  {
    name: 'a-backup-of-a-wrong-clock-is-the-newest',
    file: 'src/placement/backups/choose-backup.ts',
    changes: [{ from: '    if (doubt !== null) throw', to: "    if (doubt === '') throw" }],
    failing: [
      { file: CHOOSE, name: 'a clock that was put far back, or a copy of the bucket, is asked about' },
      {
        file: CHOOSE,
        name: 'with a clock that is ahead still, nobody but a person can tell which one is the newest',
      },
    ],
    why: 'The photos since that backup would belong to nothing.',
  },
  {
    name: 'a-damaged-backup-is-restored',
    file: 'src/database/backups/read-backup.ts',
    changes: [
      {
        from: "if (totals.bytes !== bytes || totals.sha256 !== sha256.digest('hex'))",
        to: 'if (totals.bytes < 0)',
      },
    ],
    failing: [
      {
        file: 'tests/database/backups/refused.test.ts',
        name: 'damaged, foreign and newer backups are refused, and nothing stays of them',
      },
    ],
    why: 'Half a database would stand for the whole.',
  },
  {
    name: 'backups-go-for-one-that-is-not-safe',
    file: 'src/placement/backups/retention.ts',
    changes: [
      {
        from: 'const safe = backups.filter(({ isSafe }) => isSafe).sort(newestFirst)',
        to: 'const safe = backups.filter(({ isSafe }) => isSafe !== null).sort(newestFirst)',
      },
    ],
    failing: [
      {
        file: 'tests/placement/backups/retention.test.ts',
        name: 'the newest safe one stays, whatever is not safe, and the rest is few',
      },
    ],
    why: 'The last backup that a lost machine could be made from would be gone.',
  },
  {
    name: 'backups-go-while-a-place-has-another-ledger',
    file: 'src/placement/backups/retention.ts',
    changes: [{ from: '  if (!(await knowNoOtherLedger(placement))) return 0\n', to: '' }],
    failing: [
      {
        file: 'tests/placement/backups/backups.test.ts',
        name: 'nothing is removed while a place has another ledger, or hides the newest one',
      },
    ],
    why: 'An older database would remove the backups of the newer one.',
  },
]
