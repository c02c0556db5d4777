import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { type DerivedImages, deriveImages } from '../../../src/media/derive.ts'
import type { MediaFacts } from '../../../src/media/facts.ts'
import { probeFile } from '../../../src/media/probe.ts'
import { type MediaTools, openMediaTools } from '../../../src/media/processes/tools.ts'

/** Media tools and a scratch folder for a test file; both are gone when its tests are over. */
export async function mediaTestBench(options: Partial<Parameters<typeof openMediaTools>[0]> = {}): Promise<{
  tools: MediaTools
  folder: string
  probe(path: string, fileName?: string, sidecarPath?: string): Promise<MediaFacts>
  derive(path: string, fileName?: string): Promise<DerivedImages & { facts: MediaFacts }>
}> {
  const tools = openMediaTools({ log: silentLog, threads: 2, ...options })
  const folder = await mkdtemp(join(tmpdir(), 'glassine-media-test-'))
  after(async () => {
    await tools.close()
    await rm(folder, { recursive: true })
  })
  const probe = (path: string, fileName = path, sidecarPath?: string) =>
    probeFile(tools, path, { fileName, sidecarPath })
  return {
    tools,
    folder,
    probe,
    async derive(path, fileName) {
      const facts = await probe(path, fileName)
      const out = await mkdtemp(join(folder, 'derived-'))
      const images = await deriveImages(tools, path, facts, out, { thumbnailPx: 250, previewPx: 1440 })
      return { ...images, facts }
    },
  }
}
