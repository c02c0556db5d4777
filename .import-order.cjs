/**
 * The subfolders of each top folder of `src/`, in order: a file imports from its own folder and from those
 * before it, never from a later one. `.` stands for the files of the top folder itself; where it is missing,
 * they may import and be imported by all. A folder that is not named here fails the check, so a new one gets
 * its place on the day it is made.
 *
 * `cache` comes before all of placement: it knows units of bytes, and no object.
 */
module.exports = {
  storage: [
    ...['.', 'bytes', 'memory', 'guards', 'disk'],
    ...['s3/providers', 's3/requests', 'cdn', 's3/reads', 's3/writes', 's3', 's3/probe/checks', 's3/probe'],
  ],
  placement: [
    ...[
      'cache',
      '.',
      'ledger',
      'locations/counter',
      'locations',
      'replica-io',
      'removal',
      'classes',
      'reads',
      'lifecycle',
      'uploads',
    ],
    ...[
      'listing',
      'backups',
      'takeover',
      'catalogue',
      'rebuild',
      'scrub',
      'collect',
      'migration',
      'reports',
      'maintenance',
    ],
  ],
  queue: ['.', 'worker'],
  cli: ['storage', 'users', 'catalogue', 'backups', 'notifications', 'sync'],
  media: ['motion', 'metadata', 'pictures', 'video', 'processes'],
  library: [
    ...[
      '.',
      'credentials',
      'users',
      'places',
      'assets',
      'people',
      'tags',
      'stacks',
      'processing',
      'albums',
      'sharing',
    ],
    ...[
      'uploads',
      'direct-uploads',
      'external',
      'browsing',
      'memories',
      'map',
      'downloads',
      'path-templates',
      'export',
      'sync',
      'catalogue',
      'catalogue/adoption',
      'campaigns',
      'adoption',
      'server/words',
      'server',
      'notifications',
    ],
  ],
  database: ['statements', 'embedded', 'backups'],
  jobs: ['library', 'objects', 'locations'],
  http: [
    ...['access', 'bodies', 'send', 'websocket'],
    ...['routes/users', 'routes/assets', 'routes/albums', 'routes/storage', 'routes/server'],
  ],
}
