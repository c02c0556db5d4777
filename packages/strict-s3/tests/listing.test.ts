import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ListObjectsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Bucket, kinds, run, sdk } from './running.ts'

async function putAll(client: S3Client, keys: string[]): Promise<void> {
  const rest = [...keys]
  const worker = async () => {
    for (let Key = rest.pop(); Key !== undefined; Key = rest.pop())
      await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

async function listAll(client: S3Client, input: Partial<ListObjectsV2CommandInput> = {}) {
  const keys: string[] = []
  const prefixes: string[] = []
  let pages = 0
  let ContinuationToken: string | undefined
  do {
    const page = await client.send(new ListObjectsV2Command({ Bucket, ...input, ContinuationToken }))
    keys.push(...(page.Contents ?? []).map(({ Key }) => Key!))
    prefixes.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix!))
    assert.equal(page.KeyCount, (page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0))
    ContinuationToken = page.NextContinuationToken
    assert.equal(page.IsTruncated, ContinuationToken !== undefined)
    pages += 1
  } while (ContinuationToken !== undefined)
  return { keys, prefixes, pages }
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Keys whose order, encoding and length are hard on a folder. */
const awkward = [
  'a',
  'a/',
  'a//b',
  'a/b',
  'a/b/c',
  'a-b',
  'a.b',
  'a/b.txt',
  'a0',
  'A',
  'B/x',
  '.',
  '..',
  '../up',
  './x',
  '/lead',
  'trail/',
  '%',
  '%2e',
  '%25',
  'a%2fb',
  'é',
  'z',
  '～',
  '\u{1F600}',
  '\uFFFD',
  '\uE000',
  'con',
  'a~b',
  'a~.json',
  'a~+/x',
  'new\nline',
  'tab\t',
  '\u0001',
  'sp ace',
  '+',
  '&<>"\'',
  'x'.repeat(200),
  'x'.repeat(201),
  `${'x'.repeat(199)}é`,
  `${'x'.repeat(199)}-`,
  `${'x'.repeat(199)}/y`,
  `${'x'.repeat(200)}/y`,
  `${'x'.repeat(200)}-y`,
  `${'x'.repeat(198)}éé/${'é'.repeat(200)}`,
  'q'.repeat(1024),
  `${'d/'.repeat(50)}end`,
  '/'.repeat(1000),
  'é'.repeat(512),
]

for (const kind of kinds) {
  test(`${kind}: awkward keys are listed once each, in the order of their bytes, whatever the page size`, async (t) => {
    const client = sdk(t, await run(t, { kind }))
    await putAll(client, awkward)
    const expected = [...awkward].sort(byBytes)
    for (const MaxKeys of [7, 1000]) {
      const { keys } = await listAll(client, { MaxKeys, EncodingType: 'url' })
      assert.deepEqual(keys.map(decodeURIComponent), expected, `pages of ${MaxKeys}`)
    }
    for (const StartAfter of ['a', 'a/', 'a/b', 'b', 'x'.repeat(200), '\u{1F600}', 'zzz', '!']) {
      const { keys } = await listAll(client, { StartAfter, EncodingType: 'url', MaxKeys: 20 })
      assert.deepEqual(
        keys.map(decodeURIComponent),
        expected.filter((key) => byBytes(key, StartAfter) > 0),
        `after ${StartAfter}`,
      )
    }
    for (const Prefix of ['a', 'a/', 'a/b', 'x', 'x'.repeat(200), '.', '/', '\u{1F600}', 'nothing']) {
      const { keys } = await listAll(client, { Prefix, EncodingType: 'url' })
      assert.deepEqual(
        keys.map(decodeURIComponent),
        expected.filter((key) => key.startsWith(Prefix)),
        `prefix ${Prefix}`,
      )
    }
    for (const [Prefix, Delimiter] of [
      ['', '/'],
      ['a', '/'],
      ['a/', '/'],
      ['x', '/'],
      ['', 'b'],
      ['', 'xx'],
      ['/', '/'],
    ] as const) {
      const inPrefix = expected.filter((key) => key.startsWith(Prefix))
      const cut = (key: string): number => key.indexOf(Delimiter, Prefix.length)
      const folders = new Set(
        inPrefix.filter((key) => cut(key) >= 0).map((key) => key.slice(0, cut(key) + Delimiter.length)),
      )
      for (const MaxKeys of [3, 1000]) {
        const { keys, prefixes } = await listAll(client, { Prefix, Delimiter, MaxKeys, EncodingType: 'url' })
        assert.deepEqual(
          keys.map(decodeURIComponent),
          inPrefix.filter((key) => cut(key) < 0),
          `${Prefix} ${Delimiter} ${MaxKeys}`,
        )
        assert.deepEqual(prefixes.map(decodeURIComponent), [...folders], `${Prefix} ${Delimiter} ${MaxKeys}`)
      }
    }
  })

  test(`${kind}: 1,001 keys are two pages, in both versions of the listing`, async (t) => {
    const client = sdk(t, await run(t, { kind }))
    const keys = Array.from(
      { length: 1001 },
      (_, at) => `users/${at % 10}/${String(at).padStart(4, '0')}.jpg`,
    )
    await putAll(client, keys)
    const v2 = await listAll(client, { MaxKeys: 5000 })
    assert.deepEqual(v2.keys, [...keys].sort(byBytes))
    assert.equal(v2.pages, 2)
    const first = await client.send(new ListObjectsCommand({ Bucket }))
    assert.deepEqual([first.Contents?.length, first.IsTruncated, first.NextMarker], [1000, true, undefined])
    const second = await client.send(new ListObjectsCommand({ Bucket, Marker: first.Contents!.at(-1)!.Key }))
    assert.deepEqual([second.Contents?.length, second.IsTruncated], [1, false])
    const folders = await client.send(
      new ListObjectsCommand({ Bucket, Delimiter: '/', Prefix: 'users/', MaxKeys: 3 }),
    )
    assert.deepEqual(
      [folders.CommonPrefixes?.map(({ Prefix }) => Prefix), folders.NextMarker],
      [['users/0/', 'users/1/', 'users/2/'], 'users/2/'],
    )
    const more = await client.send(
      new ListObjectsCommand({
        Bucket,
        Delimiter: '/',
        Prefix: 'users/',
        MaxKeys: 3,
        Marker: folders.NextMarker,
      }),
    )
    assert.deepEqual(
      more.CommonPrefixes?.map(({ Prefix }) => Prefix),
      ['users/3/', 'users/4/', 'users/5/'],
    )
    const none = await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }))
    assert.deepEqual([none.Contents, none.IsTruncated], [undefined, false])
    const versions = await client.send(new ListObjectVersionsCommand({ Bucket }))
    assert.deepEqual(
      [versions.Versions?.length, versions.NextKeyMarker],
      [1000, [...keys].sort(byBytes)[999]],
    )
  })
}

test('bad tokens and sizes are refused; an unsorted listing loses nothing', async (t) => {
  const s3 = await run(t)
  const client = sdk(t, s3)
  for (const input of [{ ContinuationToken: 'nonsense' }, { MaxKeys: -1 }]) {
    await assert.rejects(client.send(new ListObjectsV2Command({ Bucket, ...input })), {
      name: 'InvalidArgument',
    })
  }
  const keys = Array.from({ length: 50 }, (_, at) => `k${String(at).padStart(2, '0')}`)
  await putAll(client, keys)
  s3.profile.unsortedLists = true
  const found = (await listAll(client, { MaxKeys: 20 })).keys
  assert.notDeepEqual(found, keys)
  assert.deepEqual([...found].sort(), keys)
})
