/**
 * What other users of the machine could reach on the disk, after the server as its own process was really
 * used.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { connectClient } from '../support/client.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { until } from '../support/eventually.ts'
import { type SpawnedServer, spawnServer } from '../support/spawn-server.ts'

const OTHERS = 0o077
const HANGS = { timeout: 300_000 }

/** Where a test failed before its server has stopped: else it would go on writing into what is removed. */
async function endHard(server: SpawnedServer, dataDir: string): Promise<void> {
  await server.kill9()
  const lock = await readFile(join(dataDir, 'postgres', 'cluster', 'postmaster.pid'), 'utf8').catch(() => '')
  const postgres = await findProcess(Number(lock.split('\n')[0]))
  if (postgres !== null) process.kill(postgres.pid, 'SIGKILL')
}

async function openToOthers(folder: string, root = folder): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const entry = await lstat(path).catch(() => null) // PostgreSQL's temporary files come and go
    if (entry === null || entry.isSymbolicLink()) continue
    if ((entry.mode & OTHERS) !== 0) found.push(`${(entry.mode & 0o777).toString(8)} ${relative(root, path)}`)
    if (entry.isDirectory()) found.push(...(await openToOthers(path, root)))
  }
  return found
}

test('B11: after real use nothing in the data folder is open to other users', HANGS, async (t) => {
  const defer = cleanUpAfter(t)
  const folder = await mkdtemp(join(memoryFolder(), 'glassine-private-'))
  const dataDir = join(folder, 'data')
  defer(() => rm(folder, { recursive: true, force: true }))
  const before = process.umask(0o022)
  defer(() => process.umask(before))
  const config = `
storage:
  upload: { strategy: s3-first }
  cache: { maxBytes: 256 MiB }
`
  const server = await spawnServer({ dataDir, config })
  defer(() => endHard(server, dataDir))
  const client = await connectClient(server.url)
  const photo = await sharp(randomBytes(300 * 300 * 3), { raw: { width: 300, height: 300, channels: 3 } })
    .jpeg()
    .toBuffer()
  const { id } = await client.upload(photo, 'x.jpg')
  const form = new FormData()
  form.set('file', new Blob([new Uint8Array(photo)]), 'me.jpg')
  assert.equal((await client.call('/users/profile-image', { method: 'POST', body: form })).status, 201)
  type Receipt = { processing: { state: string }; replicas: { location: string }[] }
  await until(
    'it is offloaded',
    async () => {
      const receipt = await client.json<Receipt>(`/storage/receipts/${id}`)
      return (
        receipt.processing.state === 'done' && receipt.replicas.every(({ location }) => location !== 'local')
      )
    },
    60_000,
  )
  await client.sha256OfOriginal(id) // into the cache
  assert.equal((await client.call(`/assets/${id}/thumbnail`)).status, 200)

  assert.deepEqual(await openToOthers(dataDir), [])
  const { mode } = await lstat(dataDir)
  assert.equal(mode & 0o777, 0o700)
  const made = await readdir(join(dataDir, 'media'))
  for (const name of ['users', 'cache', 'staging', 'recall'])
    assert.ok(made.includes(name), `${name} was used`)
  await server.stop()
})

test(
  'B11: the folders of an older installation are closed at the start, those of others beside them are not',
  HANGS,
  async (t) => {
    const defer = cleanUpAfter(t)
    const folder = await mkdtemp(join(memoryFolder(), 'glassine-older-'))
    const [dataDir, mediaLocation] = [join(folder, 'data'), join(folder, 'disk')]
    defer(() => rm(folder, { recursive: true, force: true }))
    const older = ['data', 'data/demonstration-bucket', 'data/media', 'disk', 'disk/users', 'disk/films']
    for (const path of older) {
      await mkdir(join(folder, path), { recursive: true })
      await chmod(join(folder, path), 0o755)
    }
    const config = `storage: { local: { mediaLocation: ${mediaLocation} } }\n`
    const server = await spawnServer({ dataDir, config })
    defer(() => endHard(server, dataDir))
    const modes: Record<string, string> = {}
    for (const path of older) modes[path] = ((await lstat(join(folder, path))).mode & 0o777).toString(8)
    assert.deepEqual(modes, {
      data: '700',
      'data/demonstration-bucket': '700',
      'data/media': '700',
      disk: '755',
      'disk/users': '700',
      'disk/films': '755',
    })
    await server.stop()
  },
)

test(
  'B11: a configuration with secrets that everybody may read is told, by the names of its keys alone',
  HANGS,
  async (t) => {
    const { loadConfig } = await import('../../src/config.ts')
    const defer = cleanUpAfter(t)
    const folder = await mkdtemp(join(memoryFolder(), 'glassine-secrets-'))
    defer(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'glassine.yaml')
    const warningsOf = async (text: string, mode: number) => {
      await writeFile(file, text)
      await chmod(file, mode)
      return loadConfig({ GLASSINE_CONFIG: file, KEY: 'from-the-environment' }).warnings
    }
    const s3 = (secret: string) =>
      `storage: { s3: { bucket: our-photos, accessKeyId: AK, secretAccessKey: ${secret} } }\n`
    const [warning, ...others] = await warningsOf(
      `${s3('hush-hush')}database: { url: postgres://me:pass@db/x }\n`,
      0o644,
    )
    assert.deepEqual(others, [])
    assert.match(warning!, /storage\.s3\.secretAccessKey and database\.url/)
    assert.match(warning!, /chmod 600/)
    assert.doesNotMatch(warning!, /hush-hush|pass/)
    assert.deepEqual(await warningsOf(s3('hush-hush'), 0o640), [])
    assert.deepEqual(await warningsOf(s3("'$" + "{KEY}'"), 0o644), [])
    assert.deepEqual(await warningsOf('database: { url: postgres://db/x }\n', 0o644), [])
  },
)
