import type { Mutation } from './mutation.ts'

const VERIFY = 'src/placement/replica-io/verify.ts'
const OFFLOAD = 'tests/placement/lifecycle/offload.test.ts'
const SCRUB = 'tests/placement/scrub/scrub-location.test.ts'

/** What counts as a proof that bytes are there, and are the right ones. */
export const ofProofs: Mutation[] = [
  {
    name: 'the-size-is-proof-enough',
    file: VERIFY,
    changes: [
      {
        from: "  return unknown('the location says nothing about the content')",
        to: "  return { answer: 'same', level: PROOF.attested, proof, reason: 'the size is right' }",
      },
    ],
    failing: [
      {
        file: OFFLOAD,
        name: 'where a bucket attests to nothing, a damaged copy of the right size is found before the local one goes',
      },
    ],
    why: 'A file of zeros has the right size as well.',
  },
  {
    name: 'any-etag-is-the-right-one',
    file: VERIFY,
    changes: [{ from: 'if (info.etag !== known.etag)', to: "if (info.etag === '')" }],
    failing: [
      {
        file: 'tests/placement/listing/renamed-etags.test.ts',
        name: 'a copy with another ETag is read before the one that is given up for it is kept or goes',
      },
    ],
    why: 'An object that somebody has overwritten with as many bytes would count as a copy.',
  },
  {
    name: 'an-attested-digest-is-not-compared',
    file: VERIFY,
    changes: [{ from: 'if (value !== expected[algorithm])', to: "if (value === '')" }],
    failing: [
      {
        file: OFFLOAD,
        name: 'a copy that is damaged in the bucket is found before the local one goes, and made anew under a fresh key',
      },
    ],
    why: 'The bucket says that it holds other bytes, and nobody listens.',
  },
  {
    name: 'reading-back-compares-the-size-alone',
    file: VERIFY,
    changes: [
      {
        from: 'if (size !== object.size || read !== object.sha256)',
        to: 'if (size !== object.size)',
      },
    ],
    failing: [
      {
        file: SCRUB,
        name: 'rot that keeps size, time and ETag is found by reading, and a new copy is made from the other',
      },
    ],
    why: 'Rot would never be found.',
  },
  {
    name: 'another-etag-alone-is-damage',
    file: VERIFY,
    changes: [
      {
        from: "if (check.answer !== 'different' || !check.isByEtag) return check",
        to: 'if (signal !== null) return check',
      },
    ],
    failing: [
      {
        file: 'tests/placement/uploads/copies-that-count.test.ts',
        name: 'right bytes whose ETag alone has changed are not taken for wrong ones when nothing else stands for them',
      },
    ],
    why: 'A bucket that was copied or encrypted anew gives right bytes other ETags.',
  },
  {
    name: 'a-copy-is-given-up-before-the-other-one-is-proven',
    file: 'src/placement/states.ts',
    changes: [
      {
        from: 'export const LEVEL_TO_GIVE_UP_ANOTHER: ProofLevel = PROOF.attested',
        to: 'export const LEVEL_TO_GIVE_UP_ANOTHER: ProofLevel = PROOF.exists',
      },
    ],
    failing: [
      {
        file: 'tests/model/states.test.ts',
        name: 'no step evicts while fewer wanted replicas than required are there and well proven',
      },
    ],
    why: 'A bucket that answered a put has shown nothing yet.',
  },
  {
    name: 'the-answer-of-a-put-proves-it',
    file: 'src/placement/replica-io/prove-put.ts',
    changes: [{ from: "if (held.proof === 'attested')", to: "if (held.proof !== 'nothing')" }],
    failing: [
      { file: OFFLOAD, name: 'a bucket that attests to nothing is read back before the local copy goes' },
    ],
    why: 'Where a bucket attests to nothing, only reading shows what it keeps.',
  },
  {
    name: 'the-scrub-trusts-the-etag',
    file: 'src/placement/scrub/scrub-location.ts',
    changes: [
      {
        from: "import { checkByReading } from '../replica-io/verify.ts'",
        to: "import { checkByHead, checkByReading } from '../replica-io/verify.ts'",
      },
      {
        from: 'let check = await checkByReading(placement, object, replica, signal)',
        to: 'let check = await checkByHead(placement, object, replica)',
      },
    ],
    failing: [
      {
        file: SCRUB,
        name: 'rot that keeps size, time and ETag is found by reading, and a new copy is made from the other',
      },
    ],
    why: 'An ETag is what the bucket remembers of a write, not what its disks hold.',
  },
  {
    name: 'the-scrub-believes-one-bad-reading',
    file: 'src/placement/scrub/scrub-location.ts',
    changes: [
      {
        from: "  if (check.answer === 'different') {\n    // A second look",
        to: "  if (check.answer === ('nothing' as string)) {\n    // A second look",
      },
    ],
    failing: [{ file: SCRUB, name: 'one disturbance on the way is no damage' }],
    why: 'A disturbance on the way would end a copy that is right.',
  },
  {
    name: 'an-adoption-does-not-read',
    file: 'src/placement/takeover/adopt.ts',
    changes: [
      {
        from: 'const check = await requireAnswer(placement, now, () => checkNow(placement, loaded.object, now, signal))',
        to: "const check: Check = { answer: 'same', level: 4, proof: { method: 'read-back' }, reason: '' }",
      },
      {
        from: '  return checkNow(placement, object, asReplica(placement, found), signal)',
        to: "  return { answer: 'same', level: 4, proof: { method: 'read-back' }, reason: '' }",
      },
    ],
    failing: [
      {
        file: 'tests/placement/takeover/wrong-bytes.test.ts',
        name: 'bytes under a key of ours are read before they are taken over, and wrong ones are not',
      },
    ],
    why: 'Whatever lies under a key of ours would become the copy of a photo.',
  },
  {
    name: 'wrong-bytes-are-served-to-their-end',
    file: 'src/placement/replica-io/checked-read.ts',
    changes: [
      {
        from: "    if (hash.digest('hex') !== sha256) return output.destroy(wrongBytes())\n",
        to: '',
      },
    ],
    failing: [
      {
        file: 'tests/http/send/right-bytes.test.ts',
        name: 'A6: one byte flipped on the way is the line’s fault: the bytes are asked for again, nothing is suspected',
      },
    ],
    why: 'A client would keep damaged bytes as its photo.',
  },
]
