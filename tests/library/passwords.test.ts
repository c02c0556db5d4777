import assert from 'node:assert/strict'
import { scryptSync } from 'node:crypto'
import { test } from 'node:test'
import { hashPassword, verifyPassword } from '../../src/library/passwords.ts'

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

test('an unknown user takes as long as a wrong password', async () => {
  const hash = await hashPassword('correct horse battery')
  const cpuOf = async (hashed: string | null) => {
    const before = process.cpuUsage()
    assert.equal(await verifyPassword('wrong password', hashed), false)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  // CPU time of the whole process, the smallest of three: other work only adds to it.
  const known = Math.min(await cpuOf(hash), await cpuOf(hash), await cpuOf(hash))
  const unknown = Math.min(await cpuOf(null), await cpuOf(null), await cpuOf(null))
  assert.ok(
    unknown > known * 0.7 && unknown < known * 1.4,
    `${unknown} µs for nobody, ${known} µs for somebody`,
  )
})

test('many at once all come through', async () => {
  const hash = await hashPassword('correct horse battery')
  const guesses = ['a', 'b', 'correct horse battery', 'c', 'd']
  const answers = await Promise.all(guesses.map((guess) => verifyPassword(guess, hash)))
  assert.deepEqual(answers, [false, false, true, false, false])
})
