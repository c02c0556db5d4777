// The house rules of ARCHITECTURE.md, "Rooms and the direction of imports", as a machine checks them.
const room = (name) => `^src/${name}/`

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
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
      to: { path: '^src/(http|jobs|cli|bin)/|^src/app\\.ts' },
    },
    {
      name: 'placement-looks-down',
      severity: 'error',
      from: { path: room('placement') },
      to: { path: '^src/(http|jobs|cli|bin|library)/|^src/app\\.ts' },
    },
    {
      name: 'only-placement-touches-storage',
      comment: 'No route and no job can delete bytes. app.ts and bin/ wire; the rest goes through placement.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(placement|storage)/|^src/app\\.ts' },
      to: { path: room('storage') },
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
      severity: 'error',
      from: { path: room('strict-s3') },
      to: { path: '^src/', pathNot: '^src/strict-s3/' },
    },
    {
      name: 'queue-and-database-lie-below',
      severity: 'error',
      from: { path: '^src/(queue|database)/' },
      to: { path: '^src/', pathNot: '^src/(queue|database)/|^src/(errors|log)\\.ts' },
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
    exclude: { path: '^(node_modules|web)/' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
