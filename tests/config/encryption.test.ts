import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError } from '../../src/config/mistakes.ts'
import { loadConfig } from '../../src/config.ts'

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-config-'))
  t.after(() => rm(folder, { recursive: true }))
  return folder
}

async function load(t: TestContext, yaml: string, env: NodeJS.ProcessEnv = {}) {
  const folder = await folderOf(t)
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, yaml)
  return loadConfig({ GLASSINE_CONFIG: file, GLASSINE_DATA: folder, ...env })
}

async function mistakesOf(t: TestContext, yaml: string, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const error = await load(t, yaml, env).then(
    () => assert.fail('the configuration was taken'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ConfigError, String(error))
  for (const value of Object.values(env)) assert.ok(!error.message.includes(value!), 'a key is printed')
  return error.mistakes.map(({ path, wrong }) => `${path.join('.')}: ${wrong}`)
}

const bucket = (encryption: string, more = '', name = 'photos') =>
  `{ bucket: ${name}${more}, encryption: ${encryption} }`
const s3 = (encryption: string, more = '') => `storage: { s3: ${bucket(encryption, more)} }`
const key = randomBytes(32)
const env = { KEY: key.toString('base64') }

test('each bucket says how it is encrypted, or nothing', async (t) => {
  assert.equal((await load(t, 'storage: { s3: { bucket: photos } }')).storage.s3?.encryption, null)
  const plain = await load(t, s3('{ type: sse-s3 }'))
  assert.deepEqual(plain.storage.s3?.encryption, { type: 'sse-s3', previousKeys: [] })
  const { storage } = await load(
    t,
    `storage:
  s3: { bucket: photos }
  buckets:
    vault: ${bucket('{ type: sse-kms, keyId: alias/photos, bucketKey: true, context: { of: photos } }', '', 'vault')}`,
  )
  assert.deepEqual(storage.buckets.vault?.encryption, {
    type: 'sse-kms',
    keyId: 'alias/photos',
    bucketKey: true,
    context: { of: 'photos' },
    previousKeys: [],
  })
})

test('a key comes from the environment or from a file, and earlier keys from either', async (t) => {
  const file = join(await folderOf(t), 'key')
  const old = randomBytes(32)
  await writeFile(file, `${old.toString('base64')}\n`)
  const given = `{ type: sse-c, key: "\${KEY}", previousKeys: [{ keyFile: "${file}" }] }`
  const { storage } = await load(t, s3(given), env)
  assert.deepEqual(storage.s3?.encryption, { type: 'sse-c', key, previousKeys: [old] })
  const fromFile = await load(t, s3(`{ type: sse-c, keyFile: "${file}" }`))
  assert.deepEqual(fromFile.storage.s3?.encryption, { type: 'sse-c', key: old, previousKeys: [] })
  const after = await load(t, s3(`{ type: sse-s3, previousKeys: [{ keyFile: "${file}" }] }`))
  assert.deepEqual(after.storage.s3?.encryption, { type: 'sse-s3', previousKeys: [old] })
})

test('without its key Glassine does not start, and says which file is missing or wrong', async (t) => {
  const folder = await folderOf(t)
  const at = 'storage.s3.encryption'
  assert.deepEqual(await mistakesOf(t, s3('{ type: sse-c }')), [`${at}.key: this is missing`])
  const missing = await mistakesOf(t, s3(`{ type: sse-c, keyFile: "${folder}/none" }`))
  assert.deepEqual(missing, [`${at}.keyFile: this file can't be read (ENOENT)`])
  await writeFile(join(folder, 'short'), Buffer.alloc(16).toString('base64'))
  assert.deepEqual(await mistakesOf(t, s3(`{ type: sse-c, keyFile: "${folder}/short" }`)), [
    `${at}.keyFile: the file holds no key`,
  ])
  await writeFile(join(folder, 'long'), 'x'.repeat(2_000))
  assert.deepEqual(await mistakesOf(t, s3(`{ type: sse-c, keyFile: "${folder}/long" }`)), [
    `${at}.keyFile: the file is too long for a key`,
  ])
  assert.deepEqual(await mistakesOf(t, s3(`{ type: sse-c, key: "\${KEY}" }`), { KEY: 'not32bytes' }), [
    `${at}.key: this is no key`,
  ])
  const twice = `{ type: sse-c, key: "\${KEY}", keyFile: "${folder}/none" }`
  assert.deepEqual(await mistakesOf(t, s3(twice), env), [`${at}.keyFile: there is a key besides`])
  const again = `{ type: sse-c, key: "\${KEY}", previousKeys: [{ key: "\${KEY}" }, {}] }`
  assert.deepEqual(await mistakesOf(t, s3(again), env), [
    `${at}.previousKeys.1.key: this is missing`,
    `${at}.previousKeys: the key of today is among the earlier ones`,
  ])
})

test('what belongs to another type is a mistake, and so is a key over plain http', async (t) => {
  const mixed = await mistakesOf(t, s3(`{ type: sse-s3, keyId: a, bucketKey: true, key: "\${KEY}" }`), env)
  assert.deepEqual(mixed, [
    'storage.s3.encryption.keyId: this is for type sse-kms',
    'storage.s3.encryption.bucketKey: this is for type sse-kms',
    'storage.s3.encryption.key: this is for type sse-c',
  ])
  const sseC = `{ type: sse-c, key: "\${KEY}" }`
  const [http, ...rest] = await mistakesOf(t, s3(sseC, ', endpoint: "http://s3.example.org"'), env)
  assert.match(http!, /^storage\.s3\.endpoint: each request to it carries the key/)
  assert.deepEqual(rest, [])
  await load(t, s3(sseC, ', endpoint: "http://127.0.0.1:9000"'), env)
  await load(t, s3(sseC, ', endpoint: "https://s3.example.org"'), env)
  await load(t, s3('{ type: sse-s3 }', ', endpoint: "http://s3.example.org"'))
  assert.equal(
    (await mistakesOf(t, s3('{ type: aes }')))[0],
    'storage.s3.encryption.type: this value does not fit',
  )
})

test('with a key of ours nothing leaves the bucket but through Glassine', async (t) => {
  const sseC = bucket(`{ type: sse-c, key: "\${KEY}" }`)
  const cdn =
    'cdn: { type: hmac, baseUrl: https://cdn.example.org, secret: "0123456789012345678901234567890123" }'
  const found = await mistakesOf(
    t,
    `storage: { s3: ${sseC}, upload: { direct: on }, locations: { previews: s3 }, ${cdn}, delivery: { originals: redirect, previews: cdn } }`.replace(
      'direct: on',
      'direct: "on"',
    ),
    env,
  )
  assert.deepEqual(
    found.map((text) => text.split(':')[0]),
    ['storage.delivery.originals', 'storage.delivery.previews', 'storage.upload.direct'],
  )
  // Another bucket has the same files, and takes them past the server.
  await load(
    t,
    `storage: { default: [s3, open], s3: ${sseC}, buckets: { open: { bucket: open } }, upload: { direct: "on" }, delivery: { originals: redirect } }`,
    env,
  )
})

test('a key in the words of a file that everybody may read is a warning', async (t) => {
  const folder = await folderOf(t)
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, s3(`{ type: sse-c, key: "${env.KEY}" }`))
  await chmod(file, 0o644)
  const { warnings } = loadConfig({ GLASSINE_CONFIG: file, GLASSINE_DATA: folder })
  assert.match(warnings[0]!, /storage\.s3\.encryption\.key/)
  assert.ok(!warnings.join().includes(env.KEY))
})
