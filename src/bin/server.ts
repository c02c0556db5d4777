import { enableCompileCache } from 'node:module'
import { PRIVATE_UMASK } from '../private-folders.ts'
import { answerArguments } from './answer-arguments.ts'
import { requireNode } from './require-node.ts'

requireNode()
answerArguments(
  process.argv.slice(2),
  'server',
  'Starts the server: the API, the web page, and one worker inside it.',
)
process.umask(PRIVATE_UMASK)
enableCompileCache()
const { runServer } = await import('./run-server.ts')
await runServer(process.env)
