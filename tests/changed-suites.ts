/** Which suites belong to what was changed: those whose folder is named as the changed file's. */
import { dirname } from 'node:path'

/** Every suite stands on these. */
const STANDS_BELOW_ALL = [
  /^tests\/support\//,
  /^tests\/[^/]+\.ts$/,
  /^(.+\/)?package(-lock)?\.json$/,
  /^src\/database\/migrations\//,
]
const SUITE = /\.test\.ts$/

export type Selection = {
  suites: string[]
  /** The changed file that makes it all of them, if one does. */
  allBecauseOf: string | null
}

/**
 * `changed`: paths from the root of the repository, with `/`, also of files that are gone. `suites`: all that
 * there are. A folder without suites of its own has those of the folder above it, so `src/app.ts` has all.
 * What is neither code nor a test (documents, benchmarks) has none.
 */
export function suitesOf(changed: readonly string[], suites: readonly string[]): Selection {
  const selected = new Set<string>()
  for (const path of changed) {
    if (STANDS_BELOW_ALL.some((pattern) => pattern.test(path)))
      return { suites: [...suites], allBecauseOf: path }
    if (SUITE.test(path)) {
      if (suites.includes(path)) selected.add(path)
      continue
    }
    const folder = testsOf(dirname(path))
    if (folder === null) continue
    const { found, isAll } = nearest(folder, suites)
    if (isAll) return { suites: found, allBecauseOf: path }
    for (const suite of found) selected.add(suite)
  }
  return { suites: [...selected].sort(), allBecauseOf: null }
}

/** The folder of tests that is named as the folder. */
function testsOf(folder: string): string | null {
  if (/^tests(\/|$)/.test(folder) || /^packages\/[^/]+\/tests(\/|$)/.test(folder)) return folder
  const [, ofPackage] = /^(packages\/[^/]+)\/src(?:\/|$)/.exec(folder) ?? []
  if (ofPackage !== undefined) return folder.replace(`${ofPackage}/src`, `${ofPackage}/tests`)
  if (/^src(\/|$)/.test(folder)) return folder.replace('src', 'tests')
  if (/^web\/src(\/|$)/.test(folder)) return folder.replace(/^web\/src(\/lib)?/, 'tests/web')
  return null
}

function nearest(folder: string, suites: readonly string[]): { found: string[]; isAll: boolean } {
  if (folder === 'tests' || folder === '.') return { found: [...suites], isAll: true }
  const found = suites.filter((suite) => suite.startsWith(`${folder}/`))
  return found.length > 0 ? { found, isAll: false } : nearest(dirname(folder), suites)
}
