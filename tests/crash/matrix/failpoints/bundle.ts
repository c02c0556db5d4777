/**
 * One module for the processes that are killed: the product with its failpoints, and what runs a scenario.
 * Loaded file by file, such a process takes four times as long to start as what it is killed in.
 */
import { mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { rolldown } from 'rolldown'
import { type Failpoint, instrument } from './instrument.ts'
import { instrumentedFiles, PROJECT } from './sources.ts'

/** They bring native code or files of their own. */
const NOT_BUNDLED = [
  /^sharp$/,
  /^node-av/,
  /^libraw-wasm/,
  /^libheif-js/,
  /^exiftool-vendored/,
  /^pg-native$/,
]

export type Bundle = {
  /** To be run by Node. */
  path: string
  points: Failpoint[]
  remove(): Promise<void>
}

/** Into a folder below `parent` that is this process's own. */
export async function bundleVictim(parent: string): Promise<Bundle> {
  const folder = join(parent, `glassine-failpoints-${process.pid}`)
  await mkdir(folder, { recursive: true })
  const points: Failpoint[] = []
  const instrumented = new Map<string, string>()
  for (const file of instrumentedFiles()) {
    const { code, points: own } = instrument(file, await readFile(join(PROJECT, file), 'utf8'))
    instrumented.set(file, code)
    points.push(...own)
  }
  const build = await rolldown({
    input: join(PROJECT, 'tests/crash/matrix/victim.ts'),
    platform: 'node',
    external: NOT_BUNDLED,
    logLevel: 'silent',
    plugins: [
      {
        name: 'failpoints',
        transform(source, path) {
          if (!path.startsWith(PROJECT) || path.includes('node_modules')) return null
          const code = instrumented.get(relative(PROJECT, path)) ?? source
          // Migrations, scripts of workers and the version lie beside the file itself.
          return { code: code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)) }
        },
      },
    ],
  })
  await build.write({ dir: folder, format: 'esm', entryFileNames: 'victim.mjs' })
  await build.close()
  // For what is not bundled.
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  return {
    path: join(folder, 'victim.mjs'),
    points,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
