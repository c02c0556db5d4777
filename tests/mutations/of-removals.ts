import type { Mutation } from './mutation.ts'

const REMOVE = 'src/placement/removal/remove.ts'
const AGED = 'tests/placement/removal/aged-decisions.test.ts'
const RESTORED = 'tests/placement/removal/restored-ledger.test.ts'
const OFFLOAD = 'tests/placement/lifecycle/offload.test.ts'

/** When bytes may be removed. */
export const ofRemovals: Mutation[] = [
  {
    name: 'no-look-right-before-a-removal',
    file: REMOVE,
    changes: [
      {
        from: 'const check = await checkFully(placement, object, other, signal)',
        to: "const check: Check = { answer: 'same', level: 4, proof: { method: 'attested', ...other.proof }, reason: '' }",
      },
    ],
    failing: [
      {
        file: OFFLOAD,
        name: 'a copy that is lost in the bucket is found before the local one goes, and made anew under a fresh key',
      },
    ],
    why: 'A row says what was so once; the bucket may have lost the object since.',
  },
  {
    name: 'an-unfinished-write-is-removed-unseen',
    file: REMOVE,
    changes: [
      {
        from: 'own = await (hasRow ? lookTwice : lookAt)(placement, object, candidate, replicas, signal)',
        to: `if (hasRow) return remove(placement, candidate, 'wrong-bytes')
    own = await lookAt(placement, object, candidate, replicas, signal)`,
      },
    ],
    failing: [
      {
        file: RESTORED,
        name: 'A1: a snapshot from during five offloads is put back: what they put is looked at, and kept',
      },
    ],
    why: 'In a database that was put back, finished uploads are unfinished again.',
  },
  {
    name: 'one-404-means-that-nothing-is-there',
    file: REMOVE,
    changes: [
      {
        from: "if (first.answer !== 'different' || !first.isAbsent) return first",
        to: "if (first.answer !== ('nothing' as string)) return first",
      },
    ],
    failing: [
      {
        file: 'tests/placement/removal/late-answers.test.ts',
        name: 'L3: one stale "not found" does not end an eviction while nothing else stands for the bytes',
      },
    ],
    why: 'A bucket that has not heard of a write yet would end the row of the only copy.',
  },
  {
    name: 'a-removal-does-not-ask-for-the-place',
    file: REMOVE,
    changes: [
      { from: 'if (!location.isReadOnly) await confirmLocation(placement, location)', to: '' },
      {
        from: '  await confirmLocation(placement, location)\n  try {\n    await location.backend.delete(permit,',
        to: '  try {\n    await location.backend.delete(permit,',
      },
    ],
    failing: [
      {
        file: RESTORED,
        name: 'A8: nothing is removed at another bucket, and a purge waits for the right one',
      },
    ],
    why: 'A purge at another bucket of the name would count as done.',
  },
  {
    name: 'a-look-without-reading-clears-a-copy-that-was-found-bad',
    file: 'src/placement/ledger/replicas.ts',
    changes: [
      {
        from: "thisReplica(tx, replica, ['verified']).set(asProven(proven))",
        to: "thisReplica(tx, replica, ['verified', 'suspect']).set(asProven(proven))",
      },
    ],
    failing: [
      {
        file: 'tests/placement/removal/found-bad-meanwhile.test.ts',
        name: 'the copy here is not given up for a copy that was found bad meanwhile',
      },
    ],
    why: 'The last good copy would be given up for one of which other bytes were read.',
  },
  {
    name: 'nothing-is-waited-for-after-a-start',
    file: 'src/placement/removal/waits.ts',
    changes: [{ from: 'if (leftMs > 0 && !isYounger)', to: 'if (leftMs > 1e12)' }],
    failing: [
      {
        file: RESTORED,
        name: 'after a start nothing old goes for a while: whoever used the place until then has to notice first',
      },
    ],
    why: 'The original of a copied installation has not noticed it yet, and relies on what goes.',
  },
  {
    name: 'a-copy-counts-whose-deletion-may-be-on-its-way',
    file: 'src/placement/removal/waits.ts',
    changes: [{ from: 'return !isYounger && ownedMs < waitMs', to: 'return ownedMs < 0' }],
    failing: [
      {
        file: 'tests/placement/removal/young-before-adoption.test.ts',
        name: 'A: what is younger than this start and older than an adoption is not relied on: its deletion may be on its way',
      },
    ],
    why: 'A killed process may have sent a deletion that is carried out later.',
  },
  {
    name: 'a-permit-never-grows-old',
    file: 'src/storage/removal-permit.ts',
    changes: [{ from: 'if (ageMs > term.goodForMs)', to: 'if (ageMs > 1e15)' }],
    failing: [
      {
        file: AGED,
        name: 'S4: what was to be cleared is looked at again after a sleep between the look and the deletion',
      },
    ],
    why: 'A machine that slept would remove by what it saw the day before.',
  },
  {
    name: 'a-removal-needs-no-permit',
    file: 'src/storage/removal-permit.ts',
    changes: [
      {
        from: "throw new StorageError('denied', 'bytes are removed with a permit only')",
        to: 'return',
      },
    ],
    failing: [
      {
        file: 'tests/storage/contract/disk.test.ts',
        name: 'nothing is removed by leave that nobody gave, or that is too old',
        writtenIn: 'tests/storage/contract/storage-suite.ts',
      },
    ],
    why: 'A line of code anywhere could remove bytes without a look.',
  },
  {
    name: 'what-stands-for-a-copy-is-not-asked-under-the-lock',
    file: 'src/placement/ledger/replicas.ts',
    changes: [
      {
        from: '  return confirmed.every(({ locationId, key }) =>',
        to: '  return true || confirmed.every(({ locationId, key }) =>',
      },
    ],
    failing: [
      {
        file: AGED,
        name: 'an eviction that is gone on with asks under the lock whether what stands for it still does',
      },
      {
        file: 'tests/placement/removal/two-purges.test.ts',
        name: 'P1: of a duplicate whose twin is gone, two purges at once leave one copy',
      },
    ],
    why: 'Two removals at once would each rely on what the other one removes.',
  },
  {
    name: 'a-copy-in-use-is-given-up',
    file: 'src/placement/lifecycle/evict.ts',
    changes: [
      {
        from: '    if (await isLeased(tx, placement, object.id, replica.locationId)) return false\n',
        to: '',
      },
    ],
    failing: [{ file: OFFLOAD, name: 'a fresh original stays at hand until it is processed' }],
    why: 'A reader would lose its file while it works on it.',
  },
  {
    name: 'a-purge-takes-what-lives',
    file: 'src/placement/lifecycle/purge.ts',
    changes: [
      { from: "if (loaded.object.state !== 'purging') return\n  // What lies", to: '\n  // What lies' },
    ],
    failing: [{ file: OFFLOAD, name: 'a purge of an object that lives removes nothing' }],
    why: 'A job that was enqueued for another state of the ledger would remove a photo.',
  },
  {
    name: 'a-failed-upload-takes-what-was-committed',
    file: 'src/placement/lifecycle/purge.ts',
    changes: [
      {
        from: "      .where('id', '=', objectId)\n      .where('is_linked', '=', false)\n      .executeTakeFirst()\n    if (marked",
        to: "      .where('id', '=', objectId)\n      .executeTakeFirst()\n    if (marked",
      },
    ],
    failing: [{ file: OFFLOAD, name: 'a commit that happened although it seemed to fail keeps its bytes' }],
    why: 'A commit whose answer got lost may have happened, and the photo be acknowledged.',
  },
  {
    name: 'staged-files-go-at-any-age',
    file: 'src/placement/maintenance/sweep.ts',
    changes: [{ from: 'if (!found || found.mtimeMs > oldest) continue', to: 'if (!found) continue' }],
    failing: [
      { file: OFFLOAD, name: 'the sweep removes what a killed process left: staged files, unlinked objects' },
    ],
    why: 'The sweep would take the file of an upload that is under way.',
  },
  {
    name: 'unlinked-objects-go-at-any-age',
    file: 'src/placement/maintenance/unlinked.ts',
    changes: [{ from: "    .where('created_at', '<', new Date(now - UNLINKED_AGE_MS))\n", to: '' }],
    failing: [
      { file: OFFLOAD, name: 'the sweep removes what a killed process left: staged files, unlinked objects' },
    ],
    why: 'The sweep would take an upload between its bytes and its commit.',
  },
  {
    name: 'unlinked-objects-go-though-nothing-stands-for-them',
    file: 'src/placement/maintenance/unlinked.ts',
    changes: [
      {
        from: 'const isTwin = await hasTwin(placement, objectId)',
        to: 'const isTwin = (await hasTwin(placement, objectId)) || true',
      },
      {
        from: "if (isTwin) await markForPurge(tx, [objectId], 'duplicate')",
        to: "if (isTwin) await markForPurge(tx, [objectId], 'refused')",
      },
    ],
    failing: [
      {
        file: RESTORED,
        name: 'A1: an upload that was not acknowledged when the snapshot was taken: its bytes are kept, and go for their twin',
      },
    ],
    why: 'In an older ledger a photo that was acknowledged since belongs to nothing.',
  },
  {
    name: 'a-key-to-clear-is-cleared-unseen',
    file: 'src/placement/removal/clear-keys.ts',
    changes: [
      {
        from: "const decision = await decideRemoval(placement, late, { first: 'own', actor: ACTOR })",
        to: "const decision = await decideRemoval(placement, late, { first: 'others', actor: ACTOR })",
      },
      { from: "if (decision.do === 'keep') return keep(placement, late, decision.check)", to: '' },
    ],
    failing: [
      {
        file: 'tests/placement/removal/restored-rows.test.ts',
        name: 'A1: a key to clear that holds right bytes, which nothing else stands for, becomes the replica',
      },
    ],
    why: 'The key that an older ledger dooms may hold the only copy by now.',
  },
  {
    name: 'a-key-is-looked-at-once',
    file: 'src/placement/removal/clear-keys.ts',
    changes: [
      {
        from: "and writable_until < now() - interval '1 day')",
        to: 'and true)',
      },
      { from: "and writable_until >= now() - interval '1 day'`.execute(db)", to: 'and false`.execute(db)' },
    ],
    failing: [
      {
        file: 'tests/placement/removal/late-keys.test.ts',
        name: 'a key is looked at again until a day after the end of its URL',
      },
    ],
    why: 'What a slow sender puts later would lie there for ever, or be taken for lost.',
  },
]
