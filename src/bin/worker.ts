import { enableCompileCache } from 'node:module'
import { PRIVATE_UMASK } from '../private-folders.ts'
import { answerArguments } from './answer-arguments.ts'
import { requireNode } from './require-node.ts'

requireNode()
answerArguments(
  process.argv.slice(2),
  'worker',
  'Starts one more worker, on the database of the servers; it listens on no port.',
)
process.umask(PRIVATE_UMASK)
enableCompileCache()
const { runWorker } = await import('./run-worker.ts')
await runWorker(process.env)
