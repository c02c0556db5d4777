/**
 * The table of providers is complete, told in docs/providers.md, and played by the strict server where it is
 * peculiar.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { profiles } from 'strict-s3/profiles'
import { silentLog } from '../../../src/log.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import type { S3Provider } from '../../../src/storage/s3/providers/provider.ts'
import { s3Providers } from '../../../src/storage/s3/providers/provider-table.ts'
import { findS3Provider } from '../../../src/storage/s3/providers/providers.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { TRAITS, type Trait } from '../../../src/storage/traits.ts'
import { s3TestSettings } from '../contract/s3-subject.ts'

const FILE = new URL('../../../docs/providers.md', import.meta.url)
const BEGIN = '<!-- from src/storage/s3/providers/provider-table.ts -->\n'
const END = '<!-- end -->'

const yesOrNo = (value: boolean) => (value ? 'yes' : 'no')

function documented(provider: S3Provider): string {
  const facts = [
    `\`storage.s3.provider: ${provider.name}\`${provider.host === null ? ', never told from the endpoint' : ', told from the endpoint'}`,
    provider.forcePathStyle ? 'bucket in the path' : 'bucket in the host name',
    ...(provider.region === null ? [] : [`region \`${provider.region}\``]),
    ...(provider.deleteObjects ? [] : ['keys deleted one by one']),
    ...(provider.deleteVersions ? ['all versions of a key deleted'] : []),
    ...(provider.maxParts === 10_000 ? [] : [`at most ${provider.maxParts.toLocaleString('en-US')} parts`]),
    ...(provider.equalParts ? ['all parts but the last of one size'] : []),
    ...(provider.hasCors ? [] : ['no CORS rules']),
    ...(provider.hasLifecycle ? [] : ['no lifecycle rules']),
    ...(provider.writesPerKeyPerSecond === null
      ? []
      : [`at most ${provider.writesPerKeyPerSecond} write a second to one key`]),
    ...(provider.minimumStorageDays === 0 ? [] : [`billed for ${provider.minimumStorageDays} days at least`]),
    ...(provider.minimumBilledBytes === 0
      ? []
      : [`billed for ${provider.minimumBilledBytes / 1024} KiB an object at least`]),
  ]
  const expected = Object.entries(provider.expects).map(
    ([trait, value]) => `${TRAITS[trait as Trait].words}: ${yesOrNo(value)}`,
  )
  return [
    `### ${provider.title}`,
    '',
    `${facts.join('; ')}.`,
    '',
    ...(provider.notes.length === 0 ? [] : [...provider.notes.map((note) => `- ${note}`), '']),
    ...(expected.length === 0 ? [] : [`Expected of its probe: ${expected.join('; ')}.`, '']),
  ].join('\n')
}

test('docs/providers.md tells what the table knows of every provider', async () => {
  const text = await readFile(FILE, 'utf8')
  const found = `\n${s3Providers.map(documented).join('\n')}\n`
  const [start, end] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)]
  assert.ok(start >= BEGIN.length && end >= start, 'the marks are there')
  if (process.env.UPDATE_PROVIDER_DOCS === '1') {
    await writeFile(FILE, text.slice(0, start) + found + text.slice(end))
    return
  }
  assert.equal(text.slice(start, end), found, 'run it with UPDATE_PROVIDER_DOCS=1 and review the difference')
})

test('names and titles are there once, and an endpoint belongs to one provider', () => {
  for (const field of ['name', 'title'] as const) {
    const values = s3Providers.map((provider) => provider[field])
    assert.equal(new Set(values).size, values.length)
    assert.ok(values.every((value) => value.length > 1))
  }
  const hosts: Record<string, string> = {
    aws: 's3.eu-central-1.amazonaws.com',
    r2: 'account.r2.cloudflarestorage.com',
    b2: 's3.us-west-004.backblazeb2.com',
    wasabi: 's3.eu-central-2.wasabisys.com',
    hetzner: 'fsn1.your-objectstorage.com',
    scaleway: 's3.fr-par.scw.cloud',
    gcs: 'storage.googleapis.com',
    storj: 'gateway.storjshare.io',
    ovh: 's3.gra.io.cloud.ovh.net',
    digitalocean: 'fra1.digitaloceanspaces.com',
    idrive: 'm2s3.fra.idrivee2-42.com',
  }
  for (const provider of s3Providers) {
    assert.equal(provider.host === null, hosts[provider.name] === undefined, provider.name)
    const matching = Object.entries(hosts).filter(([, host]) => provider.host?.test(host))
    assert.deepEqual(
      matching.map(([name]) => name),
      provider.host === null ? [] : [provider.name],
    )
  }
  assert.equal(findS3Provider('auto', 'http://nas:9000').name, 'generic')
})

test('a provider that is peculiar in what the tests can play has a profile of the strict server', () => {
  for (const { name, ...provider } of s3Providers) {
    const isPeculiar =
      !provider.deleteObjects ||
      provider.deleteVersions ||
      provider.equalParts ||
      provider.maxParts < 10_000 ||
      Object.entries(provider.expects).some(([trait, value]) => TRAITS[trait as Trait].good === !value)
    if (isPeculiar) assert.ok(name in profiles || `${name}16` in profiles, `${name} is played`)
  }
})

test('the policy of the page names the origin that presigned URLs really have', async () => {
  const cases: [Partial<S3Settings>, string][] = [
    [{}, 'https://photos.s3.eu-central-1.amazonaws.com'],
    [{ bucket: 'my.photos' }, 'https://s3.eu-central-1.amazonaws.com'],
    [{ region: 'cn-north-1' }, 'https://photos.s3.cn-north-1.amazonaws.com.cn'],
    [{ endpoint: 'http://127.0.0.1:9000', forcePathStyle: false }, 'http://127.0.0.1:9000'],
    [{ endpoint: 'http://nas:9000' }, 'http://nas:9000'],
    [{ endpoint: 'https://fra1.digitaloceanspaces.com' }, 'https://photos.fra1.digitaloceanspaces.com'],
    [{ endpoint: 'http://minio:9000', publicEndpoint: 'https://s3.example.org' }, 'https://s3.example.org'],
  ]
  for (const [more, expected] of cases) {
    const settings: S3Settings = {
      ...s3TestSettings({ endpoint: '', accessKeyId: 'key', secretAccessKey: 'secret', bucket: 'photos' }),
      endpoint: null,
      region: 'eu-central-1',
      ...more,
    }
    const backend = openS3Backend(settings, silentLog)
    const signed = await backend.presign!.get('users/1/2' as ObjectKey, {
      signedAt: new Date(),
      expiresAt: new Date(Date.now() + 60_000),
      contentType: 'image/jpeg',
      contentDisposition: 'inline',
      cacheControl: 'private',
    })
    assert.equal(await backend.presign!.origin(), expected)
    await backend.close()
    assert.equal(new URL(signed.url).origin, expected, JSON.stringify(more))
  }
})
