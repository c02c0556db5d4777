import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { startSha1 } from '../../web/src/lib/upload/sha1.ts'

test('equals the system’s SHA-1 for any bytes in any pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (chunks) => {
      const own = startSha1()
      const theirs = createHash('sha1')
      for (const chunk of chunks) {
        own.update(chunk)
        theirs.update(chunk)
      }
      assert.equal(own.digestHex(), theirs.digest('hex'))
    }),
    { numRuns: 300 },
  )
})

test('every length around the block’s end', () => {
  for (let length = 0; length <= 130; length++) {
    const bytes = randomBytes(length)
    const own = startSha1()
    own.update(bytes)
    assert.equal(own.digestHex(), createHash('sha1').update(bytes).digest('hex'), `${length} bytes`)
  }
})

test('a length beyond 2^29 bytes, whose bits do not fit into 32, is counted right', () => {
  const chunk = new Uint8Array(8 * 1024 * 1024)
  const own = startSha1()
  const theirs = createHash('sha1')
  for (let index = 0; index < 65; index++) {
    own.update(chunk)
    theirs.update(chunk)
  }
  assert.equal(own.digestHex(), theirs.digest('hex'))
})
