/**
 * A process that has a file decoded which takes minutes: `kernel` or `watch`, and the path. Says which
 * processes do it.
 */
import { execFileSync } from 'node:child_process'
import { startMediaWorker } from '../../src/media/processes/media-worker.ts'

const [how, path, folder] = process.argv.slice(2) as [string, string, string]
const worker = startMediaWorker({ memoryBytes: 2 ** 30, cpuSeconds: 600 }, how === 'watch')
const options = { silenceMs: 600_000 }
const describe = {
  path,
  sidecarPath: null,
  isVideo: false,
  mimeType: 'image/jpeg',
  isHeif: false,
  perlPlaces: undefined,
}
await worker.perform('describe', describe, options)
const sizes = {
  thumbnailPx: 250,
  previewPx: 1440,
  colorspace: 'p3' as const,
  thumbnailQuality: 80,
  previewQuality: 80,
}
const outputs = { thumbnailPath: `${folder}/t.webp`, previewPath: `${folder}/p.jpg`, ...sizes }
void worker.perform('image', { path, orientation: 1, ...outputs }, options)
const pids = execFileSync('ps', ['-eo', 'pid=,pgid='], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/).map(Number))
  .flatMap(([pid, group]) => (group === worker.pid ? [pid] : []))
process.stdout.write(`${JSON.stringify(pids)}\n`)
process.on('message', () => process.exit(1))
process.channel?.ref()
