import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError } from '../../src/config/mistakes.ts'
import { configKeys } from '../../src/config/schema.ts'
import { loadConfig } from '../../src/config.ts'
import { DEFAULT_SESSION_LIMITS } from '../../src/library/credentials/sessions.ts'

async function load(t: TestContext, yaml: string, env: NodeJS.ProcessEnv = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-config-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, yaml)
  return loadConfig({ GLASSINE_CONFIG: file, GLASSINE_DATA: folder, ...env })
}

async function mistakesOf(t: TestContext, yaml: string, env: NodeJS.ProcessEnv = {}): Promise<ConfigError> {
  const error = await load(t, yaml, env).then(
    () => assert.fail('the configuration was taken'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ConfigError)
  return error
}

const paths = (error: ConfigError) => error.mistakes.map((mistake) => mistake.path.join('.')).sort()

test('no file: everything has a default, and what belongs in S3 goes to the demonstration bucket', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-config-'))
  t.after(() => rm(folder, { recursive: true }))
  const config = loadConfig({ GLASSINE_DATA: folder })
  assert.equal(config.port, 2283)
  assert.equal(config.dataDir, folder)
  assert.equal(config.database.url, null)
  assert.equal(config.storage.local.mediaLocation, join(folder, 'media'))
  assert.deepEqual(config.storage.locations.originals, ['s3'])
  assert.deepEqual(config.storage.locations.previews, ['local'])
  assert.equal(config.demonstrationBucket, true)
  assert.equal(config.jobs.processingConcurrency, availableParallelism())
  assert.equal(config.media.colorspace, 'p3')
})

test('the documented shape, with values from the environment', async (t) => {
  const config = await load(
    t,
    `
database: { url: "postgres://me:\${PASSWORD}@db/glassine" }
storage:
  default: s3
  local: { mediaLocation: /data/glassine }
  s3:
    endpoint: https://s3.amazonaws.com
    bucket: photos
    region: us-east-1
    accessKeyId: \${AWS_ACCESS_KEY_ID}
    secretAccessKey: \${AWS_SECRET_ACCESS_KEY}
    prefix: ""
  locations: { originals: s3, thumbnails: local, previews: local, encodedVideos: local }
  upload: { strategy: local-first, deleteLocalAfterUpload: true, retryAttempts: "\${TRIES}", retryDelayMs: 1000 }
  recall: { maxBytes: 1.5 GiB }
  listing: { everyHours: 12 }
`,
    {
      PASSWORD: 'p',
      AWS_ACCESS_KEY_ID: 'id',
      AWS_SECRET_ACCESS_KEY: 'a$${b: "c',
      TRIES: '5',
      GLASSINE_PORT: '99',
    },
  )
  assert.equal(config.database.url, 'postgres://me:p@db/glassine')
  assert.equal(
    config.storage.s3?.secretAccessKey,
    'a$${b: "c',
    'a value is not read again as YAML or as a reference',
  )
  assert.equal(config.storage.s3?.forcePathStyle, null)
  assert.equal(config.storage.upload.retryAttempts, 5)
  assert.equal(config.storage.recall.maxBytes, 1.5 * 2 ** 30)
  assert.equal(config.storage.listing.everyHours, 12)
  assert.equal(config.port, 99)
  assert.equal(config.demonstrationBucket, false)
})

test('$${ is a plain ${', async (t) => {
  const config = await load(t, `storage: { local: { mediaLocation: "/data/$\${x}" } }`)
  assert.equal(config.storage.local.mediaLocation, `/data/\${x}`)
})

test('every mistake is listed at once, with its path and what would be right', async (t) => {
  const error = await mistakesOf(
    t,
    `
storag: {}
server: { port: 99999 }
storage:
  local: 5
  s3:
    bukket: photos
    region: [us-east-1]
    accessKeyId: \${NOT_SET}
    secretAccessKey: \${EMPTY}
  locations: { originals: s4 }
  recall: { maxBytes: plenty }
jobs: { videoConcurrency: 1.5 }
`,
    { EMPTY: '' },
  )
  assert.deepEqual(paths(error), [
    'jobs.videoConcurrency',
    'server.port',
    'storag',
    'storage.local',
    'storage.locations.originals',
    'storage.recall.maxBytes',
    'storage.s3.accessKeyId',
    'storage.s3.bucket',
    'storage.s3.bukket',
    'storage.s3.region',
    'storage.s3.secretAccessKey',
  ])
  assert.match(error.message, /storag: there is no such key; did you mean storage\?/)
  assert.match(error.message, /storage\.s3\.bukket: there is no such key; did you mean bucket\?/)
  assert.match(error.message, /storage\.s3\.bucket: this is missing; write the name of the bucket/)
  assert.match(error.message, /accessKeyId: the environment variable NOT_SET is not set/)
  assert.match(error.message, /secretAccessKey: the environment variable EMPTY is empty/)
  assert.match(
    error.message,
    /storage\.locations\.originals: there is no location of this name; did you mean s3/,
  )
  assert.match(error.message, /server\.port: this value does not fit; write a whole number from 0 to 65535/)
})

test('what contradicts, and what stands there twice, is told beside all the rest', async (t) => {
  const error = await mistakesOf(
    t,
    `server: { port: eighty }
logLevel: info
storage:
  cache: { maxBytes: 1 MiB }
  outage: { failures: many }
  s3: { bucket: photos, accessKeyId: hunter2 }
logLevel: warn
`,
  )
  assert.deepEqual(paths(error), [
    '',
    'server.port',
    'storage.cache.maxBytes',
    'storage.outage.failures',
    'storage.s3.secretAccessKey',
  ])
  assert.match(error.message, /^ {2}line 7: the key logLevel is there twice; keep one of them$/m)
  assert.doesNotMatch(error.message, /hunter2|DUPLICATE/)
})

test('a value of the environment is told by the name of its variable', async (t) => {
  const error = await mistakesOf(t, 'server: { port: 2283 }', { GLASSINE_PORT: 'abc' })
  assert.match(
    error.message,
    /^ {2}GLASSINE_PORT: this value does not fit; write a whole number.*from 0 to 65535$/m,
  )
  assert.equal(error.mistakes.length, 1)
})

test('no value is ever printed', async (t) => {
  const secret = 'xyzzy-secret'
  const error = await mistakesOf(
    t,
    `
database: { url: "\${S}" }
logLevel: "\${S}"
server: { port: "\${S}", trustedProxies: "\${S}" }
storage:
  default: "\${S}"
  s3: { endpoint: "\${S}", bucket: "\${S}!", prefix: "\${S}", secretAccessKey: "\${S}", forcePathStyle: "\${S}" }
`,
    { S: secret },
  )
  assert.ok(error.mistakes.length >= 8)
  assert.ok(!error.message.includes(secret))
  const broken = await mistakesOf(t, `storage: { s3: { secretAccessKey: "${secret}`)
  assert.ok(!broken.message.includes(secret))
  assert.match(broken.message, /line 1: not YAML/)
})

test('half a pair of credentials is a mistake; none means the chain of AWS', async (t) => {
  const error = await mistakesOf(t, 'storage: { s3: { bucket: photos, accessKeyId: id } }')
  assert.deepEqual(paths(error), ['storage.s3.secretAccessKey'])
  const config = await load(t, 'storage: { s3: { bucket: photos } }')
  assert.equal(config.storage.s3?.accessKeyId, null)
})

test('ways out: what belongs together is checked, and nothing of a key is printed', async (t) => {
  const s3 = 's3: { bucket: photos, publicEndpoint: https://files.example.org }'
  const none = await mistakesOf(t, 'storage: { delivery: { originals: cdn, previews: redirekt } }')
  assert.deepEqual(paths(none), ['storage.delivery.previews'])
  const inBucket = 'locations: { previews: s3, encodedVideos: s3 }'
  const missing = await mistakesOf(
    t,
    `storage: { ${inBucket}, delivery: { originals: cdn, encodedVideos: cdn } }`,
  )
  assert.deepEqual(paths(missing), ['storage.delivery.encodedVideos', 'storage.delivery.originals'])
  const local = await mistakesOf(
    t,
    `storage: { ${s3}, default: local, locations: { thumbnails: s3 }, delivery: { originals: redirect, previews: redirect, encodedVideos: redirect } }`,
  )
  assert.deepEqual(paths(local), ['storage.delivery.encodedVideos', 'storage.delivery.originals'])
  assert.match(local.message, /write proxy, or set storage\.locations\.originals to a bucket/)
  const cloudFront = await mistakesOf(
    t,
    `storage: { cdn: { type: cloudfront, baseUrl: "http://cdn.example.com/?x", privateKey: "\${K}", secret: x, cookieDomain: example.org } }`,
    { K: 'xyzzy' },
  )
  assert.deepEqual(paths(cloudFront), [
    'storage.cdn.baseUrl',
    'storage.cdn.baseUrl',
    'storage.cdn.baseUrl',
    'storage.cdn.cookieDomain',
    'storage.cdn.keyPairId',
    'storage.cdn.privateKey',
    'storage.cdn.secret',
  ])
  assert.ok(!cloudFront.message.includes('xyzzy'))
  const hmac = await mistakesOf(
    t,
    `storage: { ${s3}, cdn: { type: hmac, baseUrl: https://cdn.example.org, secret: short, keyPairId: K1 } }`,
  )
  assert.deepEqual(paths(hmac), ['storage.cdn.keyPairId', 'storage.cdn.secret'])

  const pem = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey
  const cookies = `baseUrl: https://cdn.example.org, keyPairId: K1, privateKey: "\${K}", cookieDomain: example.org`
  const jar = await mistakesOf(
    t,
    `storage: { ${s3}, ${inBucket}, delivery: { previews: cdn }, cdn: { type: cloudfront, ${cookies} } }`,
    { K: pem },
  )
  assert.deepEqual(paths(jar), ['storage.cdn.policy'])
  for (const K of [pem, pem.replaceAll('\n', '\\n')]) {
    const { storage } = await load(
      t,
      `storage: { ${s3}, ${inBucket}, delivery: { originals: cdn, previews: redirect }, cdn: { type: cloudfront, baseUrl: https://cdn.example.org, keyPairId: K1, privateKey: "\${K}" } }`,
      { K },
    )
    assert.equal(storage.cdn?.privateKey, pem)
    assert.equal(storage.s3?.publicEndpoint, 'https://files.example.org')
    assert.deepEqual(storage.delivery, {
      originals: 'cdn',
      previews: 'redirect',
      encodedVideos: 'proxy',
      immichClients: 'proxy',
      signedForMinutes: 60,
    })
  }
})

test('a named file must exist, and an empty section counts as absent', async (t) => {
  assert.throws(() => loadConfig({ GLASSINE_CONFIG: '/nowhere/glassine.yaml' }), /there is no file/)
  const config = await load(t, 'database:\nstorage:\n  s3:\n  default: local\n')
  assert.equal(config.demonstrationBucket, false)
  assert.deepEqual(config.storage.locations.originals, ['local'])
})

test('how long sessions last, and where browsers find the server', async (t) => {
  const byDefault = await load(t, 'server:\n')
  assert.equal(byDefault.publicUrl, null)
  assert.deepEqual(byDefault.sessions, DEFAULT_SESSION_LIMITS)
  const config = await load(
    t,
    'server: { publicUrl: https://photos.example.org }\nsessions: { idleDays: 7, maxDays: 30 }\n',
  )
  assert.equal(config.publicUrl, 'https://photos.example.org')
  assert.deepEqual(config.sessions, { idleDays: 7, maxDays: 30 })
  const wrong = await mistakesOf(
    t,
    'server: { publicUrl: photos.example.org }\nsessions: { idleDays: 0, maxDays: x }\n',
  )
  assert.deepEqual(paths(wrong).toSorted(), ['server.publicUrl', 'sessions.idleDays', 'sessions.maxDays'])
})

test('one character that is no YAML is one mistake for each line', async (t) => {
  const error = await mistakesOf(
    t,
    `storage:\n  s3: { bucket: photos, accessKeyId: \${ID}, secretAccessKey: \${SECRET} }\n`,
  )
  assert.deepEqual(
    error.mistakes.map(({ wrong }) => wrong),
    ['line 2: not YAML (UNEXPECTED_TOKEN)'],
  )
})

const KEYS = 'accessKeyId: id, secretAccessKey: secret'

test('several locations: lists of names, and as many copies as there are places unless fewer are asked for', async (t) => {
  const { storage, demonstrationBucket } = await load(
    t,
    `storage:
  default: [s3, backblaze, nas, s3]
  s3: { bucket: photos, ${KEYS} }
  buckets:
    backblaze: { endpoint: https://s3.eu-central-003.backblazeb2.com, bucket: photos-2, ${KEYS} }
  folders:
    nas: { path: /mnt/nas/photos, onAnotherMachine: true }
    usb: { path: /mnt/usb }
  locations: { sidecars: [local, nas], thumbnails: local }
  minCopies: { originals: 2 }
`,
  )
  assert.deepEqual(storage.locations.originals, ['s3', 'backblaze', 'nas'])
  assert.deepEqual(storage.locations.sidecars, ['local', 'nas'])
  assert.equal(storage.minCopies.originals, 2)
  assert.equal(storage.minCopies.sidecars, 2)
  assert.equal(storage.minCopies.thumbnails, 1)
  assert.equal(storage.buckets.backblaze?.region, 'us-east-1')
  assert.equal(storage.buckets.backblaze?.requestTimeoutMs, 60_000)
  assert.deepEqual(storage.folders, {
    nas: { path: '/mnt/nas/photos', onAnotherMachine: true, readOnly: false },
    usb: { path: '/mnt/usb', onAnotherMachine: false, readOnly: false },
  })
  assert.equal(demonstrationBucket, false)
})

test('what contradicts among several locations is named, each with its way out', async (t) => {
  const wrong = await mistakesOf(
    t,
    `storage:
  default: [s3, backblase]
  buckets:
    backblaze: { bucket: photos, prefix: a/, accessKeyId: id }
    second: { bucket: photos, prefix: a/, ${KEYS} }
  folders:
    second: { path: /mnt/one }
    inside: { path: /mnt/one/two }
    media: { path: /mnt/media/nas }
  local: { mediaLocation: /mnt/media }
  minCopies: { originals: 3, sidecars: 2 }
`,
  )
  assert.deepEqual(
    wrong.mistakes.map(({ path, wrong, right }) => `${path.join('.')}: ${wrong}; ${right}`),
    [
      'storage.buckets.backblaze.secretAccessKey: only one of accessKeyId and secretAccessKey is set; set both, or neither for the default credential chain of AWS',
      'storage.default: there is no location of this name; did you mean backblaze?',
      'storage.default: this is s3, and there is no storage.s3; describe that bucket, or name backblaze or second instead',
      'storage.folders.second: a bucket has this name already; give the folder another name',
      'storage.buckets.second: this is the place of backblaze; name another bucket, or another prefix',
      'storage.folders.inside.path: this folder and that of storage.folders.second lie in one another; name a folder of its own, best on another disk',
      'storage.folders.media.path: this folder and that of the media location lie in one another; name a folder of its own, best on another disk',
      'storage.minCopies.originals: originals belong at 2 locations only; write at most 2, or name more in storage.locations.originals',
      'storage.minCopies.sidecars: sidecars belong at one location only; write at most 1, or name more in storage.locations.sidecars',
    ],
  )
  const names = ['local', 's3', 'demonstration', 'Big', 'two-2', 'a--b', '-a', 'x'.repeat(40)]
  for (const name of names) {
    const error = await mistakesOf(t, `storage: { folders: { "${name}": { path: /mnt/a } } }`)
    assert.deepEqual(paths(error), [`storage.folders.${name}`], name)
    assert.match(error.message, /use lower-case letters, digits/)
  }
  const unknown = await mistakesOf(t, 'storage: { buckets: { b2: { bucket: photos, endpont: a } } }')
  assert.match(
    unknown.message,
    /storage\.buckets\.b2\.endpont: there is no such key; did you mean endpoint\?/,
  )
})

test('nothing belongs at a read-only location, whatever names it', async (t) => {
  const storage = `default: old
  s3: { bucket: first, readOnly: true, ${KEYS} }
  buckets: { old: { bucket: photos, readOnly: true, ${KEYS} } }
  folders: { nas: { path: /mnt/nas, readOnly: true } }`
  const { mistakes } = await mistakesOf(
    t,
    `storage:\n  ${storage}\n  locations: { sidecars: [local, nas], previews: s3 }\n`,
  )
  assert.deepEqual(mistakes.map(({ path, wrong }) => `${path.join('.')}: ${wrong}`).sort(), [
    'storage.default: old is read-only (readOnly), so that nothing can be put there',
    'storage.locations.previews: s3 is read-only (readOnly), so that nothing can be put there',
    'storage.locations.sidecars: nas is read-only (readOnly), so that nothing can be put there',
  ])
  const { buckets } = (await load(t, `storage:\n  ${storage.replace('default: old', 'default: local')}\n`))
    .storage
  assert.equal(buckets.old?.readOnly, true)
})

test('notifications: what contradicts is named, and no password is told', async (t) => {
  const { notifications } = await load(
    t,
    'notifications: { email: { host: smtp.example.org, from: "Glassine <photos@example.org>" } }',
  )
  assert.deepEqual(
    [
      notifications.email?.port,
      notifications.email?.encryption,
      notifications.email?.to,
      notifications.webhook,
    ],
    [587, 'starttls', [], null],
  )
  const wrong = await mistakesOf(
    t,
    `notifications:
  email: { host: smtp.example.org, password: hidden, encryption: none, from: photos@example.org }
  webhook: { url: "https://me:hidden@example.org/", secret: hidden }
`,
  )
  assert.deepEqual(paths(wrong), [
    'notifications.email.encryption',
    'notifications.email.user',
    'notifications.webhook.secret',
    'notifications.webhook.url',
  ])
  const types = await mistakesOf(
    t,
    `notifications:
  email: { host: "smtp://example.org", from: nobody, to: [nobody] }
  webhook: { url: "ftp://example.org", secret: hidden }
`,
  )
  assert.deepEqual(paths(types), [
    'notifications.email.from',
    'notifications.email.host',
    'notifications.email.to.0',
    'notifications.webhook.url',
  ])
  assert.doesNotMatch(wrong.message + types.message, /hidden/)
})

test('docs/configuration.md lists every key and no other', async () => {
  const text = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
  const table = text.slice(text.indexOf('## Keys'), text.indexOf('## Where files belong'))
  const documented = [...table.matchAll(/^\| `([^`]+)` +\|/gm)].map((match) => match[1])
  assert.deepEqual([...documented].sort(), configKeys().sort())
})

test('s3-first where originals belong at local is a mistake, in the rollout as well', async (t) => {
  const both = await mistakesOf(
    t,
    `storage:
  default: local
  upload: { strategy: s3-first }
  rollout: { strategy: s3-first, percent: 10 }
`,
  )
  assert.deepEqual(paths(both), ['storage.rollout.strategy', 'storage.upload.strategy'])
  assert.match(both.message, /there is none that could take them first/)
  const { storage } = await load(
    t,
    `storage:
  upload: { strategy: s3-first }
  rollout: { strategy: local-first, percent: 12.5, users: [anna@example.org] }
`,
  )
  assert.equal(storage.upload.strategy, 's3-first')
  assert.deepEqual(storage.rollout, { strategy: 'local-first', percent: 12.5, users: ['anna@example.org'] })
  const wrong = await mistakesOf(t, 'storage: { rollout: { percent: 101, users: [anna] } }')
  assert.deepEqual(paths(wrong), [
    'storage.rollout.percent',
    'storage.rollout.strategy',
    'storage.rollout.users.0',
  ])
})
