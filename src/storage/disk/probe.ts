import { randomBytes, randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Features } from '../backend.ts'
import { drawback, noProblem, problem } from '../probe-findings.ts'
import type { ProbeFinding, ProbeOptions, ProbeReport } from '../probe-report.ts'
import { codeOf, diskError } from './errors.ts'

/** Below this a single video may fill the disk. */
const LOW_SPACE_BYTES = 5 * 1024 ** 3

/** Writes, syncs, links, reads and removes a small file below `{root}/.glassine-probe`. Never throws. */
export async function probeDisk(
  root: string,
  features: Features,
  { onFinding }: ProbeOptions = {},
): Promise<ProbeReport> {
  const at = new Date()
  const startedAt = performance.now()
  const findings = await check(root)
  for (const finding of findings) onFinding?.(finding)
  const latencyMs = Math.round(performance.now() - startedAt)
  return { at, ok: findings.every(({ ok, critical }) => ok || !critical), latencyMs, features, findings }
}

async function check(root: string): Promise<ProbeFinding[]> {
  const isThere = await stat(root).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isThere) {
    const detail = `the folder ${root} does not exist`
    return [problem('folder', detail, 'mount its disk, or make the folder')]
  }
  const folder = join(root, '.glassine-probe')
  const file = join(folder, randomUUID())
  const second = `${file}.link`
  try {
    await mkdir(folder, { recursive: true })
    return [await checkFile(file), await checkLinks(file, second), await checkSpace(root)]
  } catch (error) {
    const { message } = diskError(error, `writing below ${root}`)
    return [problem('write', message, 'see the detail')]
  } finally {
    // Where writing fails, so does this; the failure is a finding already.
    await Promise.allSettled([rm(file, { force: true }), rm(second, { force: true })])
  }
}

async function checkFile(file: string): Promise<ProbeFinding> {
  const bytes = randomBytes(4096)
  const handle = await open(file, 'wx')
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  if (!(await readFile(file)).equals(bytes)) {
    const detail = 'the bytes that came back are not those that were written'
    return problem('write', detail, 'check the disk')
  }
  return noProblem('write', 'written, synced and read back')
}

async function checkLinks(file: string, second: string): Promise<ProbeFinding> {
  try {
    await link(file, second)
    return noProblem('hard-links', 'work')
  } catch (error) {
    const detail = `do not work (${codeOf(error)}); names are reserved with an empty file instead`
    return drawback('hard-links', detail, 'nothing to do; ext4, XFS, ZFS have them')
  }
}

async function checkSpace(root: string): Promise<ProbeFinding> {
  const { bavail, bsize } = await statfs(root)
  const freeBytes = bavail * bsize
  const detail = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free`
  if (freeBytes >= LOW_SPACE_BYTES) return noProblem('space', detail)
  return drawback('space', detail, 'free some space: uploads are refused when it is full')
}
