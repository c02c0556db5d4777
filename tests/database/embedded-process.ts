/**
 * A process that uses the embedded PostgreSQL of argv[2]: says where it is, and leaves when its standard
 * input ends.
 */
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { silentLog } from '../../src/log.ts'

const postgres = await startEmbeddedPostgres({
  dataDir: process.argv[2] ?? '',
  log: silentLog,
  durable: false,
})
process.stdout.write(`${JSON.stringify({ url: postgres.url, pid: postgres.pid })}\n`)
process.stdin.resume()
process.stdin.on('end', () => postgres.stop())
