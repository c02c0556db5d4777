/**
 * Each quirk that a provider may have is played by the strict server and found by the probe; each remedy is
 * tried out.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import {
  CreateMultipartUploadCommand,
  ListObjectVersionsCommand,
  PutBucketCorsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type StrictS3, type StrictS3Options, startStrictS3 } from 'strict-s3'
import { profiles, type StrictProfile } from 'strict-s3/profiles'
import { silentLog } from '../../../../src/log.ts'
import type { ProbeFinding, ProbeOptions, ProbeReport } from '../../../../src/storage/probe-report.ts'
import {
  BUCKET_ACTIONS,
  OBJECT_ACTIONS,
  RESTORE_ACTION,
} from '../../../../src/storage/s3/probe/checks/paste.ts'
import { probeS3 } from '../../../../src/storage/s3/probe/probe.ts'
import { s3Providers } from '../../../../src/storage/s3/providers/provider-table.ts'
import type { S3Settings } from '../../../../src/storage/s3/requests/client.ts'
import { TRAITS, type Trait, type Traits, traitNames } from '../../../../src/storage/traits.ts'
import { s3TestSettings } from '../../contract/s3-subject.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'a-secret-that-is-never-shown' }
const ORIGIN = 'https://photos.example.org'

/** A probe sends three of them: with those of S3, half of its time would be spent on their bytes. */
const PART_BYTES = 64 * 1024

async function start(t: TestContext, options: Partial<StrictS3Options> = {}) {
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials,
    buckets: ['photos'],
    ...options,
    profile: { minPartBytes: PART_BYTES, ...options.profile },
  })
  t.after(() => server.close())
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
  })
  t.after(() => client.destroy())
  const probe = (more: Partial<S3Settings> = {}, probeOptions: ProbeOptions = {}) =>
    probeS3(settingsOf(server, more), silentLog, probeOptions)
  return { server, client, probe }
}

const settingsOf = (server: StrictS3, more: Partial<S3Settings>) => ({
  ...s3TestSettings(
    { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
    { partBytes: PART_BYTES, ...more },
  ),
  requestTimeoutMs: 5_000,
})
const find = (report: ProbeReport, check: string): ProbeFinding => {
  const found = report.findings.find((finding) => finding.check === check)
  assert.ok(found, `no finding ${check} in ${report.findings.map((finding) => finding.check).join(', ')}`)
  return found
}

test('what a killed probe left is removed by one a day later, and what another one is at is left alone', async (t) => {
  const { server, client, probe } = await start(t)
  const leave = async (folder: string) => {
    const at = { Bucket: 'photos', Key: `deep/er/.glassine-probe/${folder}/basics` }
    await client.send(new PutObjectCommand({ ...at, Body: 'x' }))
    await client.send(new CreateMultipartUploadCommand({ ...at, Key: `${at.Key}-parts` }))
  }
  await leave('killed')
  // The server in this process lives by the same clock.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 25 * 3_600_000 })
  await leave('other')
  await probe()
  assert.deepEqual(
    (await server.stored.objects()).map(({ key }) => key),
    ['deep/er/.glassine-probe/other/basics'],
  )
  assert.deepEqual(
    (await server.stored.unfinishedUploads()).map(({ key }) => key),
    ['deep/er/.glassine-probe/other/basics-parts'],
  )
})

test('with a public address besides, the report says which one was tried', async (t) => {
  const { server, probe } = await start(t)
  const { ok, findings } = await probe({ publicEndpoint: 'https://files.example.org' })
  assert.equal(ok, true)
  const { detail } = findings.find(({ check }) => check === 'public address')!
  assert.ok(detail.includes(`at ${server.endpoint};`) && detail.includes('https://files.example.org'), detail)
  assert.ok(!(await probe()).findings.some(({ check }) => check === 'public address'))
})

describe('every trait can be found either way', () => {
  /** What makes the answer another than that of a server without quirks. */
  const quirks: Record<Trait, Partial<StrictProfile>> = {
    conditionalPut: { ignoreConditionalPut: true },
    conditionalReplace: { ignoreConditionalPut: true },
    conditionalComplete: { ignoreConditionalComplete: true },
    refusesWrongMd5: { ignoreDigests: true },
    refusesWrongSha256: { ignoreDigests: true },
    refusesWrongChecksum: { ignoreChecksums: true },
    refusesCutPut: { keepCutPuts: true },
    etagIsMd5: { opaqueEtags: true },
    reportsSha256: { ignoreChecksums: true },
    reportsCrc64nvme: { computesCrc64nvme: true },
    multipart: { denied: ['CreateMultipartUpload'] },
    takesUnequalParts: { equalParts: true },
    multipartEtagIsMd5OfParts: { multipartEtags: 'random' },
    abortLeavesNothing: { keepAbortedParts: true },
    copies: { copyFails: true },
    deletesMany: { noDeleteObjects: true },
    keepsDeleted: { hiddenVersions: true },
    listsInOrder: { unsortedLists: true },
    presignedPutBound: { ignoreDigests: true },
    presignedExpires: { ignoreExpiry: true },
    presignedGet: { ignoreRanges: true },
    refusesDoubleAuthentication: { acceptDoubleAuthentication: true },
    encryptsAsAsked: { ignoresEncryption: true },
  }
  const encryption = { type: 'sse-s3', previousKeys: [] } as const
  test('a server without quirks answers all of them', async (t) => {
    const { probe } = await start(t)
    const { traits = {} } = await probe({ encryption })
    assert.deepEqual(Object.keys(traits).sort(), [...traitNames].sort())
    const bad = traitNames.filter(
      (trait) => TRAITS[trait].good !== null && traits[trait] !== TRAITS[trait].good,
    )
    assert.deepEqual(bad, ['reportsCrc64nvme'])
  })
  let plain: Traits | undefined
  for (const trait of traitNames) {
    test(`${trait}: ${Object.keys(quirks[trait]).join()}`, async (t) => {
      plain ??= (await (await start(t)).probe({ encryption })).traits ?? {}
      const quirky = await start(t, { profile: quirks[trait] })
      const before = plain[trait]
      const after = (await quirky.probe({ encryption })).traits?.[trait]
      assert.equal(typeof before, 'boolean')
      assert.equal(after, !before)
    })
  }
})

describe('every provider of the table', () => {
  const played: Record<string, Partial<StrictProfile>> = { ...profiles, ceph: profiles.ceph16 }
  for (const { name, title, region } of s3Providers) {
    test(`${title}: what is expected of it is what is found where it is played`, async (t) => {
      const profile = { anyRegion: true, ...played[name] }
      const { probe } = await start(t, { profile })
      const report = await probe({
        provider: name,
        forcePathStyle: true,
        region: region ?? 'us-east-1',
      })
      assert.equal(report.ok, true, JSON.stringify(report.findings.filter(({ ok }) => !ok)))
      assert.match(find(report, 'provider').detail, /as expected in \d+ ways|nothing is expected/)
    })
  }
  test('one that differs from its description is named, and what was found counts', async (t) => {
    const { probe } = await start(t, { profile: { ignoreConditionalPut: true } })
    const report = await probe({ provider: 'aws', forcePathStyle: true })
    const differences = report.findings
      .filter(({ check }) => check === 'provider')
      .map(({ detail }) => detail)
    assert.ok(differences.some((text) => /\(If-None-Match\): expected yes of Amazon S3, found no/.test(text)))
    assert.equal(report.features.conditionalPut, false)
  })
  test('a wrong region of one that knows only one', async (t) => {
    const { probe } = await start(t, { profile: profiles.r2 })
    const report = await probe({ provider: 'r2', forcePathStyle: true, region: 'eu-west-1' })
    assert.equal(find(report, 'provider').remedy, 'set its region to auto in the configuration')
  })
})

describe('remedies', () => {
  test('the policy allows all that the probe asks for, and each action of it is needed', async (t) => {
    const everything = [
      's3:GetBucketAcl',
      's3:PutBucketCORS',
      's3:PutLifecycleConfiguration',
      's3:DeleteObjectVersion',
    ]
    const { probe, server } = await start(t, { profile: { denied: everything } })
    const options = { origins: [ORIGIN], usesArchives: true }
    const report = await probe({}, options)
    assert.ok(!JSON.stringify(report).includes('AccessDenied'), 'nothing else is asked for')
    for (const action of [...OBJECT_ACTIONS, RESTORE_ACTION, ...BUCKET_ACTIONS]) {
      const before = server.counts.errors.AccessDenied ?? 0
      server.profile.denied = [action]
      const { traits = {} } = await probe({}, options)
      // A URL that has run out is answered AccessDenied as well.
      const late = traits.presignedExpires === undefined ? 0 : 1
      assert.ok((server.counts.errors.AccessDenied ?? 0) - before > late, `${action} is asked for`)
    }
  })

  test('restores are tried where originals are archived, and there alone', async (t) => {
    const { probe, server } = await start(t, { profile: { denied: [RESTORE_ACTION] } })
    const plain = await probe()
    assert.equal(server.counts.of('RestoreObject'), 0)
    assert.ok(!plain.findings.some(({ check }) => check === 'restore'))

    const refused = find(await probe({}, { usesArchives: true }), 'restore')
    assert.deepEqual([refused.ok, refused.critical], [false, false])
    assert.match(refused.detail, /can't be opened again: 403 AccessDenied/)
    const policy = JSON.parse(refused.paste?.[0]?.text ?? '')
    assert.deepEqual(policy.Statement[0].Action, [...OBJECT_ACTIONS, RESTORE_ACTION])

    server.profile.denied = []
    assert.equal(find(await probe({}, { usesArchives: true }), 'restore').ok, true)
    assert.deepEqual(await server.stored.objects(), [])

    server.profile.noRestores = true
    const none = find(await probe({}, { usesArchives: true }), 'restore')
    assert.equal(none.ok, false)
    assert.match(none.detail, /restores nothing: 501 NotImplemented/)
    assert.match(none.remedy ?? '', /leave GLACIER and DEEP_ARCHIVE out/)

    server.profile.noRestores = false
    server.profile.restoresAnything = true
    assert.match(find(await probe({}, { usesArchives: true }), 'restore').detail, /was acknowledged/)
  })

  test('without a permission, exactly this policy is printed', async (t) => {
    const { probe } = await start(t, { profile: { denied: ['s3:PutObject'] } })
    const [problem] = (await probe()).findings.filter(({ ok, critical }) => !ok && critical)
    assert.equal(problem?.id, 'round-trip')
    assert.equal(problem?.remedy, 'give the credentials the permission s3:PutObject on the bucket')
    assert.match(problem?.detail ?? '', /^PutObject of \S+ in bucket photos failed: 403 AccessDenied [^()]*$/)
    const policy = JSON.parse(problem?.paste?.[0]?.text ?? '')
    assert.deepEqual(
      policy.Statement.map(({ Action, Resource }: { Action: string[]; Resource: string }) => [
        Resource,
        Action,
      ]),
      [
        ['arn:aws:s3:::photos/deep/er/*', OBJECT_ACTIONS],
        ['arn:aws:s3:::photos', BUCKET_ACTIONS],
      ],
    )
  })

  test('the lifecycle rules that are proposed keep the ones there are, and are found once they are set', async (t) => {
    const { probe, client } = await start(t)
    const put = (configuration: object) =>
      client.send(
        new PutBucketLifecycleConfigurationCommand({
          Bucket: 'photos',
          LifecycleConfiguration: configuration as { Rules: [] },
        }),
      )
    const theirs = {
      ID: 'logs',
      Status: 'Enabled',
      Filter: { Prefix: 'logs/' },
      Expiration: { Days: 30 },
    }
    await put({ Rules: [theirs] })
    await client.send(
      new PutBucketVersioningCommand({ Bucket: 'photos', VersioningConfiguration: { Status: 'Enabled' } }),
    )
    const before = await probe()
    for (const [check, rule] of [
      ['lifecycle', 'glassine-unfinished-uploads'],
      ['versioning', 'glassine-hidden-versions'],
    ] as const) {
      const finding = find(before, check)
      assert.equal(finding.ok, false)
      const [json, command] = (finding.paste?.[0]?.text ?? '').split('\n\n')
      assert.match(command ?? '', /^aws s3api put-bucket-lifecycle-configuration --bucket photos /)
      const proposed = JSON.parse(json ?? '')
      assert.deepEqual(
        proposed.Rules.map(({ ID }: { ID: string }) => ID),
        ['logs', rule],
      )
      await put(proposed)
      assert.equal(find(await probe(), check).ok, true, check)
      await put({ Rules: [theirs] })
    }
  })

  test('a rule that deletes or archives originals is told; one of another prefix or for tags is not', async (t) => {
    const { probe, client } = await start(t)
    const probeWith = async (rule: object) => {
      const Rules = [{ ID: 'a rule', Status: 'Enabled', ...rule }] as unknown as []
      await client.send(
        new PutBucketLifecycleConfigurationCommand({ Bucket: 'photos', LifecycleConfiguration: { Rules } }),
      )
      return find(await probe(), 'lifecycle')
    }
    const deleting = await probeWith({ Filter: { Prefix: 'deep/' }, Expiration: { Days: 90 } })
    assert.deepEqual([deleting.ok, deleting.critical], [false, true])
    assert.match(deleting.detail, /a rule of the bucket deletes originals 90 days after/)
    const below = await probeWith({ Filter: { Prefix: 'deep/er/users/7' }, Expiration: { Days: 1 } })
    assert.equal(below.critical, true)
    const archiving = await probeWith({
      Filter: { Prefix: '' },
      Transitions: [{ Days: 1, StorageClass: 'GLACIER' }],
    })
    assert.deepEqual([archiving.ok, archiving.critical], [false, false])
    assert.match(archiving.detail, /archives originals/)
    for (const harmless of [
      { Filter: { Prefix: 'logs/' }, Expiration: { Days: 1 } },
      { Filter: { Prefix: 'deep/er/.glassine-probe/' }, Expiration: { Days: 1 } },
      { Filter: { Prefix: '' }, Expiration: { ExpiredObjectDeleteMarker: true } },
      { Status: 'Disabled', Filter: { Prefix: '' }, Expiration: { Days: 1 } },
    ]) {
      assert.match((await probeWith(harmless)).detail, /no rule aborts/, JSON.stringify(harmless))
    }
  })

  test('the CORS rule that is proposed opens the bucket for the origin, beside the rules there are', async (t) => {
    const { probe, client } = await start(t)
    const theirs = { ID: 'theirs', AllowedMethods: ['GET'], AllowedOrigins: ['https://other.example.org'] }
    await client.send(
      new PutBucketCorsCommand({ Bucket: 'photos', CORSConfiguration: { CORSRules: [theirs] } }),
    )
    const closed = find(await probe({}, { origins: [ORIGIN] }), `browsers at ${ORIGIN}`)
    assert.equal(closed.ok, false)
    const [rule, command] = closed.paste ?? []
    assert.match(
      command?.text ?? '',
      /^aws s3api put-bucket-cors .* --cors-configuration file:\/\/cors\.json$/,
    )
    const proposed = JSON.parse(rule?.text ?? '')
    assert.deepEqual(
      proposed.CORSRules.map(({ ID }: { ID: string }) => ID),
      ['theirs', 'glassine'],
    )
    await client.send(new PutBucketCorsCommand({ Bucket: 'photos', CORSConfiguration: proposed }))
    assert.equal(find(await probe({}, { origins: [ORIGIN] }), `browsers at ${ORIGIN}`).ok, true)

    proposed.CORSRules[1].ExposeHeaders = ['Content-Length']
    await client.send(new PutBucketCorsCommand({ Bucket: 'photos', CORSConfiguration: proposed }))
    assert.match(
      find(await probe({}, { origins: [ORIGIN] }), `browsers at ${ORIGIN}`).detail,
      /not see the ETag/,
    )
  })

  test('a clock that is wrong is told in seconds', async (t) => {
    const minute = 60_000
    const { probe } = await start(t, { clock: () => new Date(Date.now() + 20 * minute) })
    const clock = find(await probe(), 'clock')
    assert.equal(clock.ok, false)
    assert.match(clock.detail, /^(1199|1200|1201) s behind the service's/)
    assert.match(clock.remedy ?? '', /NTP/)
  })

  test('a region that is wrong comes with the right one, also where only the signature tells', async (t) => {
    const moved = await start(t, { profile: { bucketRegions: { photos: 'eu-central-1' } } })
    const elsewhere = await start(t, { region: 'ap-south-1' })
    for (const [{ probe }, region] of [
      [moved, 'eu-central-1'],
      [elsewhere, 'ap-south-1'],
    ] as const) {
      const remedies = (await probe()).findings.map(({ remedy }) => remedy)
      assert.ok(remedies.includes(`set its region to ${region} in the configuration`), remedies.join('\n'))
    }
  })

  test('a bucket that keeps versions keeps none of the probe’s', async (t) => {
    const { probe, client } = await start(t, { profile: { hiddenVersions: true } })
    assert.equal((await probe()).traits?.keepsDeleted, true)
    const { Versions, DeleteMarkers } = await client.send(new ListObjectVersionsCommand({ Bucket: 'photos' }))
    assert.deepEqual([Versions ?? [], DeleteMarkers ?? []], [[], []])
  })

  test('a service that is busy has refused nothing', async (t) => {
    const { probe, server } = await start(t, {
      profile: { ignoreExpiry: true, acceptDoubleAuthentication: true },
    })
    // The first tries of everything that a page or a phone would send, whatever it is.
    for (const key of [/presigned-late/, /presigned-get/, /presigned-wrong/]) {
      const fault = { kind: 'status', status: 503, code: 'SlowDown' } as const
      server.faults.add({ match: { key }, times: 1, fault })
    }
    const { traits } = await probe()
    assert.deepEqual([traits?.presignedExpires, traits?.refusesDoubleAuthentication], [false, false])
    assert.equal(traits?.presignedPutBound, true)
  })

  test('whoever waits is told of each finding as it is made', async (t) => {
    const { probe } = await start(t)
    const told: ProbeFinding[] = []
    const report = await probe({}, { onFinding: (finding) => told.push(finding) })
    assert.deepEqual(told, report.findings)
  })
})
