import { enableCompileCache } from 'node:module'
import { requireNode } from './require-node.ts'

requireNode()
enableCompileCache()
const { runWorker } = await import('./run-worker.ts')
await runWorker(process.env)
