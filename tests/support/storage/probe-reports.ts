/**
 * docs/probe-reports.md holds what `glassine storage probe` prints of real services; written and compared by
 * the tests that start them.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { describeProbe } from '../../../src/cli/storage/probe.ts'
import { styleFor } from '../../../src/cli/text.ts'
import { silentLog } from '../../../src/log.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'

const FILE = new URL('../../../docs/probe-reports.md', import.meta.url)

/**
 * Probes, and compares the report with that section of the page; with UPDATE_PROBE_REPORTS=1 it writes the
 * section. The bucket is called photos; what differs from run to run (address, times) is written as an
 * example.
 */
export async function expectReport(title: string, settings: S3Settings): Promise<void> {
  const report = await probeS3(settings, silentLog, { origins: ['https://photos.example.org'] })
  const one = { id: 's3', label: 'photos at https://s3.example.org', report, error: null, changes: [] }
  const found = exampleOf(describeProbe(one, styleFor(false, true)), settings)
  const page = await readFile(FILE, 'utf8')
  const section = new RegExp(
    `(## ${title.replaceAll('.', '\\.')}\\n(?:[^\`]*\\n)?\`\`\`text\\n)([^]*?)(\\n\`\`\`)`,
  )
  assert.match(page, section, `docs/probe-reports.md has a section ${title}`)
  if (process.env.UPDATE_PROBE_REPORTS === '1') {
    await writeFile(
      FILE,
      page.replace(section, (_all, head: string, _old, tail: string) => head + found + tail),
    )
    return
  }
  const [, , written] = section.exec(page) ?? []
  assert.equal(found, written, 'run it with UPDATE_PROBE_REPORTS=1 and review the difference')
}

function exampleOf(text: string, { endpoint }: S3Settings): string {
  return text
    .replaceAll(endpoint ?? '', 'https://s3.example.org')
    .replace(/\d+ ms/g, '8 ms')
    .replace(/within \d+ s/, 'within 0 s')
}
