// The house rules of ARCHITECTURE.md, "Rooms and the direction of imports", as a machine checks them.
const ORDER = require('./.import-order.cjs')

const room = (name) => `^src/${name}/`

/**
 * Wires its room, so that it imports from every folder; `only-the-app-opens-placement` keeps it out of all of
 * them.
 */
const WIRING = { placement: '^src/placement/open\\.ts$' }

/** Only the files of the folder itself: `s3/probe` is a folder of its own. */
const filesOf = (name, folder) => (folder === '.' ? `^src/${name}/[^/]+$` : `^src/${name}/${folder}/[^/]+$`)

/** One rule for each folder that others come after, and one for folders that the order does not name. */
function rulesOfOrder([name, folders]) {
  const looksDown = folders.slice(0, -1).map((folder, index) => ({
    name: `${name}-order-of-${folder === '.' ? 'top' : folder.replaceAll('/', '-')}`,
    comment: 'Imports go to folders that .import-order.cjs names earlier.',
    severity: 'error',
    from: { path: filesOf(name, folder), ...(WIRING[name] && { pathNot: WIRING[name] }) },
    to: { path: folders.slice(index + 1).map((later) => filesOf(name, later)) },
  }))
  const unnamed = { path: room(name), pathNot: ['.', ...folders].map((folder) => filesOf(name, folder)) }
  const isNamed = {
    name: `${name}-names-its-folders`,
    severity: 'error',
    comment: 'Give it a place in .import-order.cjs.',
  }
  return [...looksDown, { ...isNamed, from: unnamed, to: {} }, { ...isNamed, from: {}, to: unnamed }]
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'Imports of types count: a type that two files need belongs in a file below both.',
      from: {},
      to: { circular: true },
    },
    ...Object.entries(ORDER).flatMap(rulesOfOrder),
    {
      name: 'only-the-app-opens-placement',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/app\\.ts$' },
      to: { path: WIRING.placement },
    },
    {
      name: 'edges-do-not-meet-http',
      severity: 'error',
      from: { path: room('http') },
      to: { path: '^src/(jobs|cli|bin)/' },
    },
    {
      name: 'edges-do-not-meet-jobs',
      severity: 'error',
      from: { path: room('jobs') },
      to: { path: '^src/(http|cli|bin)/' },
    },
    {
      name: 'edges-do-not-meet-cli',
      severity: 'error',
      from: { path: room('cli') },
      to: { path: '^src/(http|jobs|bin)/' },
    },
    {
      name: 'library-looks-down',
      severity: 'error',
      from: { path: room('library') },
      to: { path: '^src/(http|jobs|cli|bin)/|^src/(app|open-database|open-locations)\\.ts' },
    },
    {
      name: 'placement-looks-down',
      severity: 'error',
      from: { path: room('placement') },
      to: { path: '^src/(http|jobs|cli|bin|library)/|^src/(app|open-database|open-locations)\\.ts' },
    },
    {
      name: 'only-placement-touches-storage',
      comment:
        'No route and no job can delete bytes. app.ts and open-locations.ts wire; the rest goes through placement.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(placement|storage)/|^src/(app|open-locations)\\.ts' },
      to: { path: room('storage') },
    },
    {
      name: 'one-place-decides-removals',
      comment:
        'Leave to remove bytes is given by placement/removal/remove.ts, which has looked, and by nothing else.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(storage/|placement/removal/remove\\.ts)' },
      to: { path: '^src/storage/removal-permit\\.ts' },
    },
    {
      name: 'storage-knows-no-room',
      severity: 'error',
      from: { path: room('storage') },
      to: { path: '^src/', pathNot: '^src/(storage/|errors\\.ts|log\\.ts)' },
    },
    {
      name: 'media-knows-no-room',
      severity: 'error',
      from: { path: room('media') },
      to: { path: '^src/', pathNot: '^src/(media/|errors\\.ts|log\\.ts)' },
    },
    {
      name: 'strict-s3-knows-no-room',
      comment: 'A package of its own: neither its code nor its tests need anything of Glassine.',
      severity: 'error',
      from: { path: '^packages/strict-s3/' },
      to: { path: '^(src|tests|web|bench)/' },
    },
    {
      name: 'queue-and-database-lie-below',
      severity: 'error',
      from: { path: '^src/(queue|database)/' },
      to: { path: '^src/', pathNot: '^src/(queue|database)/|^src/(errors|log|file-lock)\\.ts' },
    },
    {
      name: 'pure-rooms-know-no-framework-and-no-database',
      severity: 'error',
      from: { path: '^src/(storage|media)/|^src/placement/(states|policy)\\.ts' },
      to: { path: 'node_modules/(fastify|@fastify|kysely|pg|graphile-worker|socket\\.io)/' },
    },
    {
      name: 'the-domain-knows-no-web-framework',
      severity: 'error',
      from: { path: '^src/(library|placement|storage|media|queue|database)/' },
      to: { path: 'node_modules/(fastify|@fastify|socket\\.io)/' },
    },
    {
      name: 'no-drawers',
      severity: 'error',
      from: {},
      to: { path: '/(utils?|shared|common|helpers?|misc)(/|[.]ts$)' },
    },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: '^src/(bin/|media/.*-process\\.ts|.*\\.d\\.ts)' },
      to: {},
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    // Packages are not followed but seen: two rules are about them.
    exclude: { path: '^web/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      extensions: ['.ts', '.js', '.json'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
