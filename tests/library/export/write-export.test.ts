/** Photos and videos as plain files: all of them, the right ones, once, and nobody else's is touched. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { setAssetFile } from '../../../src/library/assets/asset-files.ts'
import {
  MANIFEST,
  type ManifestEntry,
  openManifest,
  SUMS,
  UNFINISHED,
} from '../../../src/library/export/manifest.ts'
import { albumByName, ownerByEmail, type Selection } from '../../../src/library/export/selection.ts'
import { planExport, writeExport } from '../../../src/library/export/write-export.ts'
import { type PathTemplate, parsePathTemplate } from '../../../src/library/path-templates/template.ts'
import { ingestSidecar } from '../../../src/library/uploads/sidecars.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { stageStream } from '../../../src/placement/uploads/stage.ts'
import { ANNA, type Installation, openInstallation } from '../catalogue/support.ts'

const ALL: Selection = { ownerId: null, albumId: null, from: null, to: null, withTrash: false }
const NEVER = new AbortController().signal
const DAY = 'Anna/2024/2024-05'

async function open(t: TestContext) {
  const one = await openInstallation(t)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-export-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const anna = await one.user()
  const run = (
    selection: Partial<Selection> = {},
    signal: AbortSignal = NEVER,
    onFile: () => void = () => undefined,
    template: PathTemplate | null = null,
  ) =>
    writeExport(
      one,
      folder,
      { selection: { ...ALL, ...selection }, template },
      { signal, onProgress: onFile },
    )
  const entries = async (): Promise<ManifestEntry[]> => {
    const text = await readFile(join(folder, MANIFEST), 'utf8')
    return text.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as ManifestEntry)))
  }
  const paths = async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((found) => found.isFile())
      .map((found) => join(found.parentPath, found.name).slice(folder.length + 1))
      .filter((path) => path !== MANIFEST && path !== SUMS)
      .sort()
  return {
    ...one,
    one,
    folder,
    anna,
    run,
    entries,
    paths,
    read: (path: string) => readFile(join(folder, path)),
  }
}

const objectOf = async ({ db }: Pick<Installation, 'db'>, id: string) =>
  (await db.selectFrom('asset').select('original_object_id').where('id', '=', id).executeTakeFirstOrThrow())
    .original_object_id

/** It is processed, so that its local copy may go. */
async function giveUpLocal({ pool, placement }: Installation, objectId: string): Promise<void> {
  await pool.query('delete from local_lease where object_id = $1', [objectId])
  await evictReplica(placement, { objectId, from: 'local' })
}

test('files lie by person and month, with their bytes, dates and sums; the next run writes nothing', async (t) => {
  const { one, anna, folder, run, entries, paths, read, remotes } = await open(t)
  const first = await one.upload(anna.id, 'a.jpg')
  const second = await one.upload(anna.id, 'A.JPG')
  await giveUpLocal(one, await objectOf(one, first.id))
  const xmp = Buffer.from('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
  const staged = await stageStream(
    one.placement,
    (async function* () {
      yield xmp
    })(),
    { maxBytes: 1e6 },
  )
  await ingestSidecar(one.placement, { userId: anna.id }, first.id, staged, (tx, objectId) =>
    setAssetFile(tx, first.id, 'sidecar', { objectId, width: null, height: null }),
  )
  const report = await run()
  assert.deepEqual([report.written.count, report.failed, report.stoppedBy], [3, [], null])
  const found = await entries()
  const pathOf = (asset: string, kind = 'original') =>
    found.find((one) => one.asset === asset && one.kind === kind)!.path
  assert.deepEqual(await read(pathOf(first.id)), first.bytes)
  assert.deepEqual(await read(pathOf(second.id)), second.bytes)
  assert.deepEqual(await read(pathOf(first.id, 'sidecar')), xmp)
  assert.equal(pathOf(first.id, 'sidecar'), `${pathOf(first.id)}.xmp`)
  assert.equal((await paths()).filter((path) => dirname(path) === DAY).length, 3)
  assert.equal((await stat(join(folder, pathOf(first.id)))).mtime.toISOString(), '2024-05-06T07:08:09.000Z')
  await promisify(execFile)('sha256sum', ['--check', '--strict', '--quiet', SUMS], { cwd: folder })
  await assert.rejects(access(join(folder, UNFINISHED)))

  const before = await paths()
  const gets = remotes.get('s3')!.calls.get
  const again = await run()
  assert.deepEqual([again.written.count, again.there.count], [0, 3])
  assert.deepEqual(await paths(), before)
  assert.equal(remotes.get('s3')!.calls.get, gets, 'nothing is read twice')
})

test('a template says where files lie: by album, camera and name, numbered where they meet', async (t) => {
  const { one, anna, run, entries, paths } = await open(t)
  const first = await one.upload(anna.id, 'a.jpg')
  const second = await one.upload(anna.id, 'b.jpg')
  const third = await one.upload(anna.id, 'c.jpg')
  const album = async (name: string, createdAt: string, assetIds: string[]) => {
    const { rows } = await one.pool.query(
      'insert into album (name, created_at) values ($1, $2) returning id',
      [name, createdAt],
    )
    for (const id of assetIds)
      await one.pool.query('insert into album_asset (album_id, asset_id) values ($1, $2)', [rows[0].id, id])
  }
  await album('Older', '2024-01-01', [first.id])
  await album('The sea / 2024', '2024-02-01', [first.id, second.id])
  await one.pool.query(
    `insert into asset_exif (asset_id, make) values ($1, 'Canon')
     on conflict (asset_id) do update set make = excluded.make`,
    [third.id],
  )
  await one.pool.query(`update asset set local_date_time = '2023-12-31 23:59:59' where id = $1`, [second.id])

  const byAlbum = '{{#if album}}{{album}}/{{album-startDate-y}}{{else}}{{make}}/{{yy}}{{/if}}/{{filetype}}'
  await run({}, NEVER, undefined, parsePathTemplate(byAlbum, '--template'))
  const pathOf = new Map((await entries()).map(({ asset, path }) => [asset, path]))
  assert.deepEqual([first, second].map(({ id }) => pathOf.get(id)).sort(), [
    'Anna/The sea _ 2024/2023/IMG (2).jpg',
    'Anna/The sea _ 2024/2023/IMG.jpg',
  ])
  assert.equal(pathOf.get(third.id), 'Anna/Canon/24/IMG.jpg')

  // With another template, or none, what lies there stays where it is.
  const before = await paths()
  assert.equal((await run()).written.count, 0)
  assert.deepEqual(await paths(), before)
})

test('of two exports to one folder the second is refused, and harms nothing of the first', async (t) => {
  const { one, anna, folder, run } = await open(t)
  for (let index = 0; index < 3; index += 1) await one.upload(anna.id, `${index}.jpg`)
  await mkdir(join(folder, UNFINISHED))
  const first = await openManifest(folder)
  await assert.rejects(run(), { code: 'conflict', message: /Another export writes to/ })
  await access(join(folder, UNFINISHED))
  await first.close()
  assert.equal((await run()).written.count, 3)

  const manifest = join(folder, MANIFEST)
  await writeFile(manifest, 'a list of mine\nwithout an end')
  await assert.rejects(run(), { code: 'invalid', message: /line 1, is not of an export/ })
  assert.equal(await readFile(manifest, 'utf8'), 'a list of mine\nwithout an end')
})

test('an export that was interrupted goes on, and what a kill kept from the list is not written twice', async (t) => {
  const { one, anna, folder, run, entries, paths } = await open(t)
  for (let index = 0; index < 12; index += 1) await one.upload(anna.id, `${index}.jpg`)
  const interrupt = new AbortController()
  const report = await run({}, interrupt.signal, () => interrupt.abort())
  assert.equal(report.stoppedBy, 'interrupt')
  assert.ok(report.written.count >= 1 && report.written.count < 12)

  // A kill between a file and its line, and one in the middle of a line.
  const lines = (await readFile(join(folder, MANIFEST), 'utf8')).trimEnd().split('\n')
  await writeFile(
    join(folder, MANIFEST),
    lines
      .slice(0, -1)
      .map((line) => `${line}\n`)
      .join(''),
  )
  await appendFile(join(folder, MANIFEST), lines.at(-1)!.slice(0, 20))
  await mkdir(join(folder, UNFINISHED), { recursive: true })
  await writeFile(join(folder, UNFINISHED, 'half'), 'half')
  const rest = await run()
  assert.deepEqual([rest.written.count + rest.there.count, rest.failed], [12, []])
  assert.equal((await paths()).length, 12)
  assert.equal((await entries()).length, 12, 'of the line that was cut nothing is left')
  assert.equal((await run()).there.count, 12)
})

test('what lies there is never written over', async (t) => {
  const { one, anna, folder, run, paths, read, entries } = await open(t)
  await one.upload(anna.id, 'mine.jpg')
  await run()
  await one.upload(anna.id, 'new.jpg')
  await writeFile(join(folder, DAY, 'new.jpg'), 'somebody else’s')
  const [kept] = await entries()
  await writeFile(join(folder, kept!.path), 'edited by hand')
  const { written } = await run()
  assert.equal(written.count, 2)
  assert.equal((await read(`${DAY}/new.jpg`)).toString(), 'somebody else’s')
  assert.equal((await read(kept!.path)).toString(), 'edited by hand')
  assert.deepEqual((await paths()).filter((path) => path.includes('[2]')).sort(), [
    `${DAY}/mine [2].jpg`,
    `${DAY}/new [2].jpg`,
  ])
})

test('a folder with other things in it is refused, and so is a list that is none', async (t) => {
  const { folder, run } = await open(t)
  await writeFile(join(folder, 'letter.txt'), 'x')
  await assert.rejects(run(), { code: 'invalid', message: /letter\.txt/ })
  await rm(join(folder, 'letter.txt'))
  await writeFile(join(folder, MANIFEST), 'what\nis this\n')
  await assert.rejects(run(), { code: 'invalid', message: /line 1/ })
})

test('what must be restored first is left out, named, and not asked for', async (t) => {
  const { one, anna, run, remotes, paths } = await open(t)
  const { id } = await one.upload(anna.id, 'old.jpg')
  await one.upload(anna.id, 'young.jpg')
  const objectId = await objectOf(one, id)
  await giveUpLocal(one, objectId)
  await one.pool.query(
    `update replica set storage_class = 'DEEP_ARCHIVE' where object_id = $1 and location_id = 's3'`,
    [objectId],
  )
  const plan = await planExport(one, { selection: ALL, template: null })
  assert.deepEqual([plan.files.count, plan.archived.map((found) => found.objectId)], [2, [objectId]])
  const gets = remotes.get('s3')!.calls.get
  const report = await run()
  assert.deepEqual([report.written.count, report.archived.length, report.failed], [1, 1, []])
  assert.equal(remotes.get('s3')!.calls.get, gets)
  assert.deepEqual(await paths(), [`${DAY}/young.jpg`])
})

test('a file that can not be read is named, and keeps no other one', async (t) => {
  const { one, anna, run, heldIn, paths } = await open(t)
  const { id } = await one.upload(anna.id, 'wrong.jpg')
  await one.upload(anna.id, 'right.jpg')
  const objectId = await objectOf(one, id)
  await giveUpLocal(one, objectId)
  const { rows } = await one.pool.query(
    `select key from replica where object_id = $1 and location_id = 's3'`,
    [objectId],
  )
  const held = heldIn('s3').get(rows[0].key)!
  heldIn('s3').set(rows[0].key, { ...held, bytes: Buffer.from(held.bytes.map((byte) => byte ^ 1)) })
  const report = await run()
  assert.deepEqual([report.written.count, report.failed.map(({ path }) => path)], [1, [`${DAY}/wrong.jpg`]])
  assert.deepEqual(await paths(), [`${DAY}/right.jpg`])
})

test('a selection: by person, album and day; the trash only where it is asked for', async (t) => {
  const { one, anna, run, db } = await open(t)
  const ben = await one.user({ ...ANNA, email: 'ben@example.org', name: 'Ben' })
  const ofAnna = await one.upload(anna.id, 'anna.jpg')
  const ofBen = await one.upload(ben.id, 'ben.jpg')
  const trashed = await one.upload(anna.id, 'trash.jpg')
  await one.pool.query('update asset set deleted_at = now() where id = $1', [trashed.id])
  await one.pool.query(`update asset set local_date_time = '2020-02-29 23:59:59' where id = $1`, [ofBen.id])
  const { rows } = await one.pool.query(
    `with made as (insert into album (name) values ('Ostern') returning id)
     insert into album_asset (album_id, asset_id) select id, $1 from made returning album_id`,
    [ofAnna.id],
  )
  const chosen = async (selection: Partial<Selection>) =>
    (await planExport(one, { selection: { ...ALL, ...selection }, template: null })).files.count
  assert.equal(await chosen({}), 2)
  assert.equal(await chosen({ withTrash: true }), 3)
  assert.equal(await chosen({ ownerId: await ownerByEmail(db, 'Ben@example.org') }), 1)
  assert.equal(await albumByName(db, 'Ostern'), rows[0].album_id)
  assert.equal(await chosen({ albumId: rows[0].album_id }), 1)
  assert.deepEqual(
    [
      await chosen({ from: '2020-02-29', to: '2020-02-29' }),
      await chosen({ from: '2020-03-01' }),
      await chosen({ to: '2020-02-28' }),
    ],
    [1, 1, 0],
  )
  await assert.rejects(albumByName(db, 'Weihnachten'), { code: 'invalid' })
  await assert.rejects(ownerByEmail(db, 'nobody@example.org'), { code: 'invalid' })
  assert.equal((await run({ withTrash: true })).written.count, 3)
})
