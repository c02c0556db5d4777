/** Each rule of `npm run check:imports` refuses what it forbids, and the source keeps them all. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { cruise, type ICruiseOptions, type ICruiseResult, type IFlattenedRuleSet } from 'dependency-cruiser'

const ROOT = join(import.meta.dirname, '../..')
const require = createRequire(import.meta.url)
const { forbidden, options } = require('../../.dependency-cruiser.cjs') as {
  forbidden: NonNullable<IFlattenedRuleSet['forbidden']>
  options: ICruiseOptions
}
const ORDER = require('../../.import-order.cjs') as Record<string, string[]>
const { scripts } = require('../../package.json') as { scripts: Record<string, string> }
/** What the command looks through. */
const CRUISED = scripts['check:imports']!.split('.dependency-cruiser.cjs ')[1]!.split(' ')

/** A file, what it imports, and the rule that forbids the first import; null: allowed. */
type Plant = { rule: string | null; file: string; imports: string[]; isTypeOnly?: boolean }

let root: string
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'glassine-import-rules-'))
})
after(() => rm(root, { recursive: true, force: true }))

/** In one tree, each breach in files of its own. */
async function cruisePlants(name: string, plants: Plant[]) {
  const folder = join(root, name)
  const write = async (path: string, text: string, flag: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text, { flag }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  await write('tsconfig.json', '{}', 'w')
  for (const { file, imports, isTypeOnly } of plants) {
    const lines = imports.map((target, index) => {
      const isPackage = target.startsWith('node_modules/')
      const from = isPackage ? target.split('/')[1]! : `./${relative(dirname(file), target)}`
      return isTypeOnly ? `import type { T } from '${from}'` : `import { a as a${index} } from '${from}'`
    })
    await write(file, [...lines, 'export const a = 1', 'export type T = 1', ''].join('\n'), 'wx')
  }
  for (const target of plants.flatMap(({ imports }) => imports)) {
    if (target.startsWith('node_modules/')) {
      await write(join(dirname(target), 'package.json'), '{ "main": "index.js" }', 'w')
      await write(target, 'exports.a = 1\n', 'w')
    } else if (!plants.some(({ file }) => file === target)) await write(target, 'export const a = 1\n', 'wx')
  }
  return cruiseFolder(folder)
}

async function cruiseFolder(folder: string) {
  const { output } = await cruise(
    CRUISED.filter((path) => existsSync(join(folder, path))),
    { ...options, baseDir: folder, validate: true, ruleSet: { forbidden } },
    options.enhancedResolveOptions,
    {},
  )
  const { violations, totalCruised } = (output as ICruiseResult).summary
  return { totalCruised, broken: violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to })) }
}

/** Every pair of folders of every room, one importing from the other. */
function pairs(makeRule: (room: string, lower: string) => string | null): Plant[] {
  return Object.entries(ORDER).flatMap(([room, folders]) =>
    folders.flatMap((lower, index) =>
      folders.slice(index + 1).map((upper) => {
        const [low, high] = [lower, upper].map((one) => join('src', room, one))
        const name = upper.replaceAll('/', '-')
        const rule = makeRule(room, lower)
        return rule === null
          ? {
              rule,
              file: join(high!, `uses-${lower.replaceAll('/', '-')}.ts`),
              imports: [join(low!, 'used.ts')],
            }
          : { rule, file: join(low!, `uses-${name}.ts`), imports: [join(high!, 'used.ts')] }
      }),
    ),
  )
}

const ruleOfOrder = (room: string, lower: string) =>
  `${room}-order-of-${lower === '.' ? 'top' : lower.replaceAll('/', '-')}`

const BREACHES: Plant[] = [
  { rule: 'no-cycles', file: 'src/queue/a.ts', imports: ['src/queue/b.ts'], isTypeOnly: true },
  { rule: null, file: 'src/queue/b.ts', imports: ['src/queue/a.ts'], isTypeOnly: true },
  { rule: 'only-the-app-opens-placement', file: 'src/bin/opens.ts', imports: ['src/placement/open.ts'] },
  { rule: 'edges-do-not-meet-http', file: 'src/http/edge.ts', imports: ['src/jobs/used.ts'] },
  { rule: 'edges-do-not-meet-jobs', file: 'src/jobs/edge.ts', imports: ['src/cli/used.ts'] },
  { rule: 'edges-do-not-meet-cli', file: 'src/cli/edge.ts', imports: ['src/http/used.ts'] },
  { rule: 'library-looks-down', file: 'src/library/up.ts', imports: ['src/http/used.ts'] },
  { rule: 'library-looks-down', file: 'src/library/up-to-app.ts', imports: ['src/app.ts'] },
  { rule: 'placement-looks-down', file: 'src/placement/up.ts', imports: ['src/library/used.ts'] },
  { rule: 'only-placement-touches-storage', file: 'src/library/stores.ts', imports: ['src/storage/used.ts'] },
  {
    rule: 'one-place-decides-removals',
    file: 'src/placement/lifecycle/removes.ts',
    imports: ['src/storage/removal-permit.ts'],
  },
  { rule: 'storage-knows-no-room', file: 'src/storage/up.ts', imports: ['src/placement/used.ts'] },
  { rule: 'media-knows-no-room', file: 'src/media/up.ts', imports: ['src/placement/used.ts'] },
  { rule: 'strict-s3-knows-no-room', file: 'packages/strict-s3/src/up.ts', imports: ['src/storage/used.ts'] },
  { rule: 'queue-and-database-lie-below', file: 'src/queue/up.ts', imports: ['src/placement/used.ts'] },
  {
    rule: 'pure-rooms-know-no-framework-and-no-database',
    file: 'src/storage/queries.ts',
    imports: ['node_modules/kysely/index.js'],
  },
  {
    rule: 'the-domain-knows-no-web-framework',
    file: 'src/library/answers.ts',
    imports: ['node_modules/fastify/index.js'],
  },
  { rule: 'no-drawers', file: 'src/cli/tidy.ts', imports: ['src/cli/utils/used.ts'] },
  { rule: 'no-orphans', file: 'src/cli/orphan.ts', imports: [] },
  ...Object.keys(ORDER).flatMap((room): Plant[] => [
    { rule: `${room}-names-its-folders`, file: `src/${room}/unheard-of/a.ts`, imports: ['src/log.ts'] },
    {
      rule: `${room}-names-its-folders`,
      file: `src/bin/uses-${room}.ts`,
      imports: [`src/${room}/unseen/used.ts`],
    },
  ]),
]

test('every rule of imports refuses what it forbids, by its name', async () => {
  const planted = [...BREACHES, ...pairs(ruleOfOrder)]
  const { broken } = await cruisePlants('breaches', planted)
  const plants = planted.filter(({ rule }) => rule !== null)
  const seen = new Set(broken.map(({ rule, from, to }) => [rule, from, to].join(' ')))
  const isSeen = ({ rule, file, imports }: Plant) => seen.has([rule, file, imports[0] ?? file].join(' '))
  assert.deepEqual(
    plants.filter((plant) => !isSeen(plant)),
    [],
    'not noticed',
  )
  assert.deepEqual(new Set(plants.map(({ rule }) => rule)), new Set(forbidden.map(({ name }) => name)))
})

test('a folder may import from every folder before it', async () => {
  const { broken } = await cruisePlants(
    'allowed',
    pairs(() => null),
  )
  assert.deepEqual(broken, [])
})

test('the source keeps every rule', async () => {
  const { broken, totalCruised } = await cruiseFolder(ROOT)
  assert.deepEqual(broken, [])
  assert.ok(totalCruised > 400)
})
