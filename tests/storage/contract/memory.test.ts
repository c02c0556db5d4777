import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { storageSuite } from './storage-suite.ts'

storageSuite('memory', async () => ({ backend: openMemoryBackend() }))
