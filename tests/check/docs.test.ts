/** What README and docs tell people to type and to click is there. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { CliContext } from '../../src/cli/context.ts'
import { runCommand } from '../../src/cli/program.ts'
import { styleFor } from '../../src/cli/text.ts'

const run = promisify(execFile)
const PROJECT = new URL('../..', import.meta.url).pathname

const pages = [
  'README.md',
  ...(await readdir(join(PROJECT, 'docs')))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
const textOf = (page: string) => readFile(join(PROJECT, page), 'utf8')

/** Everything of the command line that touches an installation throws this: so far a command was right. */
const REACHED = 'reached the installation'
const reached = () => Promise.reject(new Error(REACHED))
const context: CliContext = {
  print: () => undefined,
  progress: () => undefined,
  style: styleFor(false, true),
  withDatabase: reached,
  withPlacement: reached,
  withWorker: reached,
  withoutLedger: reached,
  isTerminal: false,
  explain: (error) => (error as Error).message,
  untilInterrupted: () => new AbortController().signal,
  input: {
    isTerminal: false,
    readAll: async () => 'a long password',
    ask: async () => '',
    askHidden: async () => '',
  },
}

/** Of the blocks that show what to type; a line that goes on is one. */
function typedLines(text: string): string[] {
  const lines: string[] = []
  let language: string | null = null
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    const fence = /^ *```(\w*)/.exec(line)
    if (fence) language = language === null ? fence[1]! : null
    else if (language !== null && ['', 'sh', 'crontab'].includes(language)) lines.push(line)
  }
  return lines
}

test('every command in them is one, with options that it has', async () => {
  let count = 0
  for (const page of pages) {
    for (const line of typedLines(await textOf(page))) {
      const typed = /(?:npx |bin\/|^\$ |^ *)glassine ((?:storage|users) (?:(?! 2>)[^#|&>)\n])*)/.exec(
        line,
      )?.[1]
      if (typed === undefined) continue
      const said: string[] = []
      const argv = [...typed.trim().matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word)
      // Ids stand in capitals.
      const real = argv.map((word) => (/^[A-Z]+$/.test(word) ? '0a0a0a0a-0000-4000-8000-000000000000' : word))
      await runCommand(real, context, (words) => said.push(words))
      assert.deepEqual(said, [REACHED], `${page}: glassine ${typed}`)
      count++
    }
  }
  assert.ok(count >= 20, `only ${count} were found`)
})

test('every link to a page of the project leads to one, and to a heading that it has', async () => {
  const anchorsOf = async (page: string) =>
    [...(await textOf(page)).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    )
  for (const page of pages) {
    for (const [, target] of (await textOf(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue
      const [path, anchor] = target!.split('#')
      const file = path === '' ? page : join(dirname(page), path!)
      await assert.doesNotReject(access(join(PROJECT, file)), `${page} links to ${target}`)
      if (anchor !== undefined && file.endsWith('.md'))
        assert.ok((await anchorsOf(file)).includes(anchor), `${page} links to ${target}`)
    }
  }
})

test('the unit of systemd is one', async (t) => {
  const isThere = await run('systemd-analyze', ['--version']).catch(() => null)
  if (isThere === null) return t.skip('there is no systemd here')
  const [, unit] = /```ini\n(\[Unit\][\s\S]*?)```/.exec(await textOf('docs/operating.md'))!
  const folder = await mkdtemp(join(tmpdir(), 'glassine-unit-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'glassine.service')
  const here = unit!.replaceAll('/opt/glassine/', PROJECT).replace('User=glassine', `User=root`)
  await writeFile(file, here)
  const { stdout, stderr } = await run('systemd-analyze', ['verify', '--man=no', file])
  assert.doesNotMatch(stdout + stderr, /glassine\.service/)
})
