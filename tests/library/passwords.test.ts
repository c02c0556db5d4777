import assert from 'node:assert/strict'
import crypto, { scryptSync } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { mock, test } from 'node:test'
import { hashPassword, verifyPassword } from '../../src/library/credentials/passwords.ts'

test('a hash is of one password, salted, and says how it was made', async () => {
  const hash = await hashPassword('correct horse battery')
  assert.match(hash, /^scrypt\$16384\$8\$5\$[\w+/=]{24}\$[\w+/=]{44}$/)
  assert.notEqual(hash, await hashPassword('correct horse battery'))
  assert.equal(await verifyPassword('correct horse battery', hash), true)
  assert.equal(await verifyPassword('correct horse batterY', hash), false)
  assert.equal(await verifyPassword('', hash), false)
  // Made with other settings, as an earlier or later version would.
  const salt = Buffer.from('a salt')
  const key = scryptSync('x', salt, 64, { N: 1024, r: 4, p: 2 })
  const other = `scrypt$1024$4$2$${salt.toString('base64')}$${key.toString('base64')}`
  assert.equal(await verifyPassword('x', other), true)
  assert.equal(await verifyPassword('y', other), false)
})

test('the same letters in other code points are the same password', async () => {
  const hash = await hashPassword('Zürich1234'.normalize('NFC'))
  assert.equal(await verifyPassword('Zürich1234'.normalize('NFD'), hash), true)
})

test('lengths out of bounds are refused', async () => {
  await assert.rejects(hashPassword('1234567'), { code: 'invalid' })
  await assert.rejects(hashPassword('x'.repeat(1025)), { code: 'invalid' })
  assert.equal(await verifyPassword('x'.repeat(1025), await hashPassword('x'.repeat(1024))), false)
})

test('an unknown user takes as long as a wrong password: the same hashing, to its end', async () => {
  const hash = await hashPassword('correct horse battery')
  const known = await hashingOf(() => verifyPassword('wrong password', hash))
  assert.equal(known.begun.length, 1)
  assert.equal(known.ended, 1)
  assert.deepEqual(await hashingOf(() => verifyPassword('wrong password', null)), known)
})

/**
 * What decides how long scrypt takes, for each time that it really runs before `refuse` answers; and how many
 * of those runs were over by then.
 */
async function hashingOf(refuse: () => Promise<boolean>): Promise<{ begun: object[]; ended: number }> {
  const hashing = { begun: [] as object[], ended: 0 }
  const { scrypt } = crypto
  const watched = (...[password, salt, bytes, cost, done]: Parameters<typeof scrypt>) => {
    hashing.begun.push({ password, saltBytes: (salt as Buffer).length, bytes, cost })
    scrypt(password, salt, bytes, cost, (...result) => {
      hashing.ended++
      done(...result)
    })
  }
  const watch = mock.method(crypto, 'scrypt', watched)
  syncBuiltinESMExports() // for those that import it by name
  try {
    assert.equal(await refuse(), false)
    return { ...hashing }
  } finally {
    watch.mock.restore()
    syncBuiltinESMExports()
  }
}

test('many at once all come through', async () => {
  const hash = await hashPassword('correct horse battery')
  const guesses = ['a', 'b', 'correct horse battery', 'c', 'd']
  const answers = await Promise.all(guesses.map((guess) => verifyPassword(guess, hash)))
  assert.deepEqual(answers, [false, false, true, false, false])
})
