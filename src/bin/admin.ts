import { enableCompileCache } from 'node:module'
import { PRIVATE_UMASK } from '../private-folders.ts'
import { requireNode } from './require-node.ts'

requireNode()
process.umask(PRIVATE_UMASK)
enableCompileCache()
const { runAdmin } = await import('./run-admin.ts')
process.exitCode = await runAdmin(process.argv.slice(2), process.env)
