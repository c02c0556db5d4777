import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import type { TestContext } from 'node:test'

const FOLDER = resolve(
  import.meta.dirname,
  '../../..',
  process.env.GLASSINE_TEST_MEDIA ?? join('..', 'shared', 'media'),
)
const MISSING = `No test media at ${FOLDER}: set GLASSINE_TEST_MEDIA to a folder that holds them.`

/**
 * The folder of real photos and videos, other people's, which this repository does not contain. Throws where
 * it is absent.
 */
export function mediaFolder(): string {
  if (!existsSync(FOLDER)) throw new Error(MISSING)
  return FOLDER
}

/**
 * The path of one test file. Where the files are absent the test is skipped, loudly; in CI that is a failure:
 * null.
 */
export function testMedia(t: TestContext, name: string): string | null {
  if (existsSync(FOLDER) || process.env.CI === 'true') return join(mediaFolder(), name)
  console.error(`\n!! ${MISSING} Not tested: ${t.name}\n`)
  t.skip(MISSING)
  return null
}

/** All test files below a folder, as paths relative to it, sorted. */
export async function listTestMedia(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()
}
