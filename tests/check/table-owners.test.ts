import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { glob, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { CROSSINGS, OWNERS, WRITERS } from '../../src/database/table-owners.ts'
import { tablesInUse } from './tables-in-use.ts'

const ROOT = join(import.meta.dirname, '../..')
const NAMES = new Set(Object.keys(OWNERS))

type Report = { violations: string[]; needed: Set<string> }

/**
 * What statements under `folder` break the rules of `database/table-owners.ts`, and which of its permissions
 * they need.
 */
async function checkTree(folder: string): Promise<Report> {
  const violations: string[] = []
  const needed = new Set<string>()
  for await (const path of glob('**/*.ts', { cwd: folder })) {
    const own = dirname(path)
    for (const { name, isWrite, line } of tablesInUse(readFileSync(join(folder, path), 'utf8'), NAMES)) {
      const owner = OWNERS[name as keyof typeof OWNERS]
      if (own === owner || own.startsWith(`${owner}/`)) continue
      if (name.endsWith('()') && owner === 'database') continue
      const isOwnRoom = path.split('/')[0] === owner.split('/')[0]
      if (isOwnRoom && !isWrite) continue
      const permission = isOwnRoom ? writer(own, name) : crossing(path, name, isWrite)
      if (permission !== null) needed.add(permission)
      else
        violations.push(`src/${path}:${line} ${isWrite ? 'writes' : 'reads'} ${name}, which is of ${owner}`)
    }
  }
  return { violations, needed }
}

function writer(folder: string, name: string): string | null {
  return WRITERS[folder]?.some((table) => table === name) ? `${folder} writes ${name}` : null
}

function crossing(path: string, name: string, isWrite: boolean): string | null {
  const found = CROSSINGS.find(({ file, reads }) => file === path && reads.some((table) => table === name))
  return found && !isWrite ? `${path} reads ${name}` : null
}

test('each folder of src uses the tables that it may use, and every permission is needed', async () => {
  const { violations, needed } = await checkTree(join(ROOT, 'src'))
  assert.deepEqual(violations, [])
  const given = [
    ...Object.entries(WRITERS).flatMap(([folder, tables]) =>
      tables.map((name) => `${folder} writes ${name}`),
    ),
    ...CROSSINGS.flatMap(({ file, reads }) => reads.map((name) => `${file} reads ${name}`)),
  ]
  assert.deepEqual([...needed].sort(), given.sort())
})

test('every table, view and function of the schema has an owner that exists', () => {
  const dump = readFileSync(join(ROOT, 'tests/schema.dump.sql'), 'utf8')
  const made = [
    ...dump.matchAll(/^create (?:or replace )?(table|view|materialized view|function) (?:public\.)?(\w+)/gim),
  ].map(([, kind, name]) => (kind!.toLowerCase() === 'function' ? `${name}()` : name!))
  assert.ok(made.length > 30, 'the dump is read')
  assert.deepEqual([...NAMES].filter((name) => name !== 'graphile_worker').sort(), made.sort())
  for (const folder of [...Object.values(OWNERS), ...Object.keys(WRITERS)])
    assert.ok(existsSync(join(ROOT, 'src', folder)), folder)
})

test('a statement on the table of another folder is named, however it is written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-tables-'))
  t.after(() => rm(folder, { recursive: true }))
  const plant = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: TypeScript, as text
  const wrong: [path: string, statement: string, found: string][] = [
    ['library/a.ts', "db.selectFrom('replica as r')", 'reads replica'],
    ['library/b.ts', "db.selectFrom(['asset', 'replica as r'])", 'reads replica'],
    ['library/c.ts', "q.leftJoin('stored_object as o', 'o.id', 'a.id')", 'reads stored_object'],
    ['library/d.ts', 'sql`select from asset a join replica using (object_id)`', 'reads replica'],
    ['library/e.ts', 'sql<Row>`, other as (select 1 from asset, replica where ${x})`', 'reads replica'],
    ['library/f.ts', 'sql`with gone as (delete from only replica where id = ${id})`', 'writes replica'],
    ['library/g.ts', "sql`insert into ${sql.table('replica')} values (1)`", 'writes replica'],
    ['library/h.ts', "pool.query('update stored_object set state = $1')", 'writes stored_object'],
    ['library/i.ts', 'sql`select from graphile_worker._private_jobs`', 'writes graphile_worker'],
    ['library/assets/media-rows.ts', "db.updateTable('replica').set({})", 'writes replica'],
    ['placement/ledger/j.ts', "db.selectFrom('asset')", 'reads asset'],
    ['placement/reads/k.ts', "db.deleteFrom('replica')", 'writes replica'],
    ['placement/reads/l.ts', "bringBack('class_change', 'clear_after', NOW)", 'writes class_change'],
    ['http/s.ts', "{ for (const table of ['drill', 'x'] as const) db.deleteFrom(table) }", 'writes drill'],
    ['http/m.ts', "db.selectFrom('session')", 'reads session'],
    ['app.ts', "db.selectFrom('location')", 'reads location'],
  ]
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: TypeScript, as text
  for (const [path, statement] of wrong) await plant(path, `export const x = () => ${statement}\n`)
  const right = [
    ['placement/reads/n.ts', "db.selectFrom('replica')"],
    ['placement/ledger/o.ts', "db.insertInto('replica')"],
    ['library/p.ts', 'sql`select lived_since(deleted_at) from asset`'],
    ['http/q.ts', "log.info('taken over from location s3'); db.selectFrom('holder')"],
    ['library/r.ts', "sql`select 'from replica' from asset -- join replica`"],
  ] as const
  for (const [path, statement] of right) await plant(path, `export const x = () => { ${statement} }\n`)

  const { violations } = await checkTree(folder)
  assert.deepEqual(
    violations.map((one) => one.replace(/:\d+ /, ' ').replace(/, which.*/, '')).sort(),
    wrong.map(([path, , found]) => `src/${path} ${found}`).sort(),
  )
  assert.ok(violations.includes('src/app.ts:1 reads location, which is of placement/locations'))
})
