/** Campaigns as an administrator has them: by the API and by the command line. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { type CliContext, EXIT, type ExitCode } from '../../../src/cli/context.ts'
import { runCommand } from '../../../src/cli/program.ts'
import { styleFor } from '../../../src/cli/text.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import type { CampaignStatus } from '../../../src/placement/migration/campaign-status.ts'
import type { Estimate } from '../../../src/placement/migration/estimate.ts'
import { startTestServer } from '../../support/server.ts'

const headers = { 'content-type': 'application/json' }
const TO_DISK = { kinds: ['originals'], from: ['s3'], to: ['local'] }

test('originals of one user come back from the bucket, step by step', async (t) => {
  const server = await startTestServer(t, { settings: { campaigns: true } })
  const { placement, admin } = server
  const somebody = await server.newUser('somebody')
  const bytes = randomBytes(2_000)
  const { id: assetId } = await somebody.upload(bytes, 'photo.jpg')
  await admin.upload(randomBytes(3_000), 'other.jpg')
  await server.runJobs()
  const me = await somebody.json<{ id: string }>('/users/me')
  const body = JSON.stringify({ ...TO_DISK, users: [me.id], limits: { holdHours: 0, workers: 2 } })
  const post = (path: string, what = body) => admin.call(path, { method: 'POST', headers, body: what })

  await t.test('nobody but an administrator sees or does anything of it', async () => {
    for (const path of ['/storage/campaigns', '/storage/campaigns/estimate'])
      assert.equal((await somebody.call(path, { method: 'POST', headers, body })).status, 403)
    assert.equal((await somebody.call('/storage/campaigns')).status, 403)
  })

  await t.test('what can not be is refused, and the answer names the field', async () => {
    const refused = async (change: object) => {
      const answer = await post('/storage/campaigns', JSON.stringify({ ...TO_DISK, ...change }))
      return `${answer.status} ${await answer.text()}`
    }
    assert.match(await refused({ kinds: ['thoughts'] }), /^400 .*kinds/)
    assert.match(await refused({ to: ['nowhere'] }), /^400 .*nowhere/)
    assert.match(await refused({ from: ['local'] }), /^400 .*local is in both/)
    assert.match(
      await refused({ limits: { hours: { from: '25:00', until: '06:00' } } }),
      /^400 .*hours\.from/,
    )
    assert.match(await refused({ olderThanDays: 9, youngerThanDays: 9 }), /^400 .*youngerThanDays/)
  })

  const estimate = (await (await post('/storage/campaigns/estimate')).json()) as Estimate
  assert.deepEqual([estimate.count, estimate.bytes, estimate.seconds], [1, 2_000, null])
  assert.deepEqual(
    estimate.puts.map(({ locationId, count, readBackBytes }) => [locationId, count, readBackBytes]),
    [['local', 1, 2_000]],
  )
  const created = await post('/storage/campaigns')
  assert.equal(created.status, 201)
  const { id } = (await created.json()) as CampaignStatus
  const act = async (action: string) => {
    const answer = await post(`/storage/campaigns/${id}/actions`, JSON.stringify({ action }))
    assert.equal(answer.status, 202, await answer.clone().text())
    await server.runJobs()
    return admin.json<CampaignStatus>(`/storage/campaigns/${id}`)
  }
  const early = await post(`/storage/campaigns/${id}/actions`, JSON.stringify({ action: 'reclaim' }))
  assert.equal(early.status, 409)
  assert.equal((await act('check')).phase, 'checked')
  assert.equal((await act('rehearse')).phase, 'rehearsed')
  const held = await act('start')
  assert.deepEqual([held.phase, held.reclaim.frees], ['holding', { count: 1, bytes: 2_000 }])
  assert.deepEqual(held.actions, ['reclaim', 'roll-back', 'retry'])
  const page = await admin.json<{ objects: { objectId: string }[]; next: string | null }>(
    `/storage/campaigns/${id}/objects?state=held`,
  )
  assert.equal((await act('reclaim')).phase, 'done')
  const { replicas } = (await loadObject(server.db, page.objects[0]!.objectId))!
  assert.deepEqual(
    replicas.map(({ locationId }) => locationId),
    ['local'],
  )
  const original = await somebody.call(`/assets/${assetId}/original`)
  assert.deepEqual(Buffer.from(await original.arrayBuffer()), bytes)
  const rolled = await post(`/storage/campaigns/${id}/actions`, JSON.stringify({ action: 'rollback' }))
  const { reverseId } = (await rolled.json()) as CampaignStatus
  assert.equal((await admin.json<CampaignStatus>(`/storage/campaigns/${reverseId}`)).reason, 'rollback')

  await t.test('the same by the command line', async () => {
    const printed: string[] = []
    const context = {
      print: (text: string) => printed.push(text),
      progress: () => {},
      style: styleFor(false, true),
      withPlacement: (use: Parameters<CliContext['withPlacement']>[0]) => use(placement, undefined as never),
      explain: (error: unknown) => (error as Error).message,
    } as unknown as CliContext
    const run = async (...argv: string[]): Promise<[ExitCode, string]> => {
      printed.length = 0
      const code = await runCommand(['campaign', ...argv], context, (text) => printed.push(text))
      return [code, printed.join('\n')]
    }
    const way = ['--kind', 'originals', '--from', 's3', '--to', 'local', '--user', 'nobody@example.org']
    assert.equal((await run('estimate', ...way))[0], EXIT.failed)
    const [code, told] = await run('estimate', ...way.slice(0, -2))
    assert.equal(code, EXIT.done, told)
    assert.match(told, /1 file would move, 3 KB|1 file would move/)
    const [, proposed] = await run(
      'propose',
      ...way.slice(0, -2),
      '--between',
      '22:00-06:00',
      '--rate',
      '1000',
    )
    assert.match(proposed, /Proposed; nothing was looked at yet/)
    const all = (await run('list'))[1]
    assert.equal(all.split('\n').length, 3)
    assert.match((await run('show', id))[1], /Done: the old copies are gone[\s\S]*come back by the campaign/)
    const failed = await run('reclaim', id)
    assert.equal(failed[0], EXIT.failed)
    assert.match(failed[1], /not possible while the campaign is "done"/)
  })
})

test('with a rollout only the files of its users are moved; switched off, nothing can be asked', async (t) => {
  const server = await startTestServer(t, {
    settings: { campaigns: true, rollout: { percent: 0, users: ['SOMEBODY@example.org'] } },
  })
  const somebody = await server.newUser('somebody')
  await somebody.upload(randomBytes(2_000), 'photo.jpg')
  await server.admin.upload(randomBytes(3_000), 'other.jpg')
  await server.runJobs()
  const body = JSON.stringify(TO_DISK)
  const ask = () => server.admin.call('/storage/campaigns/estimate', { method: 'POST', headers, body })
  const { email } = await somebody.json<{ email: string }>('/users/me')
  Object.assign(server.placement.settings, { rollout: { percent: 0, users: [email.toUpperCase()] } })
  const { count, bytes } = (await (await ask()).json()) as Estimate
  assert.deepEqual([count, bytes], [1, 2_000])
  server.placement.settings.campaigns = false
  assert.equal((await ask()).status, 409)
})
