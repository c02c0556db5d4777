import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { listFiles } from '../../../src/storage/disk/list.ts'
import { compareKeys } from '../../../src/storage/object-key.ts'

test('A5: a folder of more names than are sorted at a time is listed in order, from any key on', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'glassine-list-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const names = Array.from({ length: 23 }, (_, n) => [
    `users/${n * 7}/a.jpg`,
    `users/${n * 7}-b.jpg`,
    `users/${n * 7}/z/é.jpg`,
  ])
  const keys = names.flat()
  for (const key of [...keys, '.incoming/part', 'staging/part']) {
    await mkdir(dirname(join(root, key)), { recursive: true })
    await writeFile(join(root, key), key)
  }
  const sorted = keys.toSorted(compareKeys)
  for (const sortedNames of [1, 3, 1_000]) {
    for (const after of [undefined, 'users/', sorted[0], sorted[20], `${sorted[20]}x`, sorted.at(-1)]) {
      const found: string[] = []
      for await (const { key } of listFiles(root, { prefix: 'users/', after, sortedNames })) found.push(key)
      assert.deepEqual(
        found,
        sorted.filter((key) => after === undefined || compareKeys(key, after) > 0),
        `after ${after}, ${sortedNames} at a time`,
      )
    }
  }
})
