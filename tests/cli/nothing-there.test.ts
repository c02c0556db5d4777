/**
 * Commands where there is nothing, each as a process of its own: what they say, and that they make nothing.
 */
import assert from 'node:assert/strict'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { testDatabase } from '../support/postgres.ts'
import { runCli } from '../support/run-cli.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-nothing-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const glassine = (args: string[], env: Record<string, string> = {}) =>
  runCli(args, { cwd: folder, env, timeout: 60_000 })

const { version } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8'))

describe('a command', { concurrency: 2 }, () => {
  const READING = [
    ['storage', 'status'],
    ['storage', 'receipt', '0a0a0a0a-0000-4000-8000-000000000000'],
    ['storage', 'check'],
    ['storage', 'drill', '--stop'],
    ['storage', 'adopt', 's3'],
    ['users', 'list'],
    ['users', 'reset-password', 'anna@example.org'],
    ['users', 'delete', 'anna@example.org', '--yes'],
  ]
  for (const args of READING) {
    test(`that reads makes no installation: ${args.join(' ')}`, async () => {
      const { code, stdout, stderr } = await glassine(args)
      assert.equal(stderr, 'There is no installation in ./data; set GLASSINE_DATA to its data folder\n')
      assert.deepEqual([code, stdout], [1, ''])
      assert.deepEqual(await readdir(folder), [])
    })
  }

  test('names the folder that was meant', async () => {
    const { code, stderr } = await glassine(['storage', 'status'], { GLASSINE_DATA: '/somewhere/else' })
    assert.equal(code, 1)
    assert.match(stderr, /^There is no installation in \/somewhere\/else; set GLASSINE_DATA/)
    await assert.rejects(access('/somewhere'))
  })

  test('says what it does and which version it is, and starts nothing', async () => {
    for (const args of [
      [],
      ['server'],
      ['worker'],
      ['storage'],
      ['storage', 'status'],
      ['users', 'create'],
    ]) {
      const help = await glassine([...args, '--help'])
      assert.deepEqual([help.code, help.stderr], [0, ''], args.join(' '))
      assert.match(help.stdout, /^Usage: glassine/, args.join(' '))
      const asked = await glassine([...args, '--version'])
      assert.deepEqual(asked, { code: 0, stdout: `glassine ${version}\n`, stderr: '' }, args.join(' '))
    }
    const unknown = await glassine(['server', '--port', '80'])
    assert.equal(unknown.code, 2)
    assert.match(unknown.stderr, /unknown argument "--port".*glassine server --help/)
    assert.deepEqual(await readdir(folder), [])
  })
})

test('a database of somebody else is not made one of ours by a command that reads', async (t) => {
  const { url, pool } = await testDatabase(t)
  await pool.query('drop schema public cascade')
  await pool.query('drop schema graphile_worker cascade')
  await pool.query('create schema public')
  const home = await mkdtemp(join(tmpdir(), 'glassine-nothing-'))
  t.after(() => rm(home, { recursive: true }))
  await writeFile(join(home, 'glassine.yaml'), `database: { url: "${url}" }\n`)
  const env = { GLASSINE_CONFIG: join(home, 'glassine.yaml'), GLASSINE_DATA: join(home, 'data') }
  const { code, stderr } = await glassine(['users', 'list'], env)
  assert.equal(code, 1)
  assert.match(stderr, /^There is no installation in the database of database\.url; correct it/)
  const { rows } = await pool.query("select tablename from pg_tables where schemaname = 'public'")
  assert.deepEqual(rows, [])
})
