/** A strict server on a folder in a process of its own, to be killed. argv: folder, `sync` or `nosync`. */
import { startStrictS3 } from '../src/server.ts'
import { credentials } from './signed-request.ts'

const s3 = await startStrictS3({
  store: { kind: 'folder', path: process.argv[2]!, sync: process.argv[3] === 'sync' },
  credentials,
  buckets: ['photos'],
  onInternalError: (error, request) => console.error(request, error),
})
process.send?.({ endpoint: s3.endpoint })
process.on('message', () => process.send?.({ residentBytes: process.memoryUsage.rss() }))
process.on('disconnect', () => void s3.close())
