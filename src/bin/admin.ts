import { enableCompileCache } from 'node:module'
import { requireNode } from './require-node.ts'

requireNode()
enableCompileCache()
const { runAdmin } = await import('./run-admin.ts')
process.exitCode = await runAdmin(process.argv.slice(2), process.env)
