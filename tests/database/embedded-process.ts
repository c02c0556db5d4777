/**
 * A process that uses the embedded PostgreSQL of argv[2], with fsync where argv[3] says `durable`: says where
 * it is, and leaves when its standard input ends.
 */

import { clusterPaths } from '../../src/database/embedded/cluster.ts'
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { findPostmaster } from '../../src/database/embedded/postmaster.ts'
import { silentLog } from '../../src/log.ts'

const [, , dataDir = '', durable] = process.argv
const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, durable: durable === 'durable' })
// Null where it runs in another container.
const pid = (await findPostmaster(clusterPaths(dataDir)))?.pid ?? null
process.stdout.write(`${JSON.stringify({ url: postgres.url, pid })}\n`)
process.stdin.resume()
process.stdin.on('end', () => postgres.stop())
