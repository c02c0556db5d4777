/** The program as it is run: a real process of bin/strict-s3. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { profiles } from '../src/profiles.ts'
import { temporaryFolder } from './running.ts'

const program = join(import.meta.dirname, '..', 'bin', 'strict-s3')
const environment = { PATH: process.env.PATH, HOME: process.env.HOME }
const fromEnvironment = {
  STRICT_S3_ACCESS_KEY_ID: 'AKIDGIVEN',
  STRICT_S3_SECRET_ACCESS_KEY: 'a given secret',
}

type Program = { child: ChildProcess; ended: Promise<unknown[]>; output: () => string; errors: () => string }

function spawnProgram(t: TestContext, args: string[], env: Record<string, string> = {}): Program {
  const child = spawn(program, args, { env: { ...environment, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name]!.setEncoding('utf8').on('data', (chunk: string) => {
      text[name] += chunk
    })
  return { child, ended, output: () => text.stdout, errors: () => text.stderr }
}

async function runToEnd(t: TestContext, args: string[], env: Record<string, string> = {}) {
  const { ended, output, errors } = spawnProgram(t, args, env)
  const [code] = await ended
  return { code, output: output(), errors: errors() }
}

/** What the program says when it is ready, by name. */
async function start(t: TestContext, args: string[], env: Record<string, string> = {}) {
  const running = spawnProgram(t, ['--port', '0', ...args], env)
  while (!/^profile .*\n/m.test(running.output())) {
    const event = await Promise.race([once(running.child.stdout!, 'data'), running.ended.then(() => null)])
    assert.ok(event, `it ended: ${running.errors()}`)
  }
  const said = new Map(
    running
      .output()
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, 19).trim(), line.slice(19)] as const),
  )
  const stop = async (signal: NodeJS.Signals): Promise<unknown> => {
    running.child.kill(signal)
    return (await running.ended)[0]
  }
  return { ...running, said, stop }
}

function clientFor(t: TestContext, said: Map<string, string>, secretAccessKey: string, region = 'us-east-1') {
  const client = new S3Client({
    endpoint: said.get('endpoint')!,
    region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: said.get('access key id')!, secretAccessKey },
  })
  t.after(() => client.destroy())
  return client
}

test('a folder keeps its objects and its credentials, and the secret is printed once', async (t) => {
  const folder = join(await temporaryFolder(t), 'made', 'when', 'absent')
  const first = await start(t, ['--folder', folder])
  const secret = first.said.get('secret access key')!
  assert.match(secret, /^[\w-]{40}$/)
  assert.equal(first.said.get('bucket'), 'photos')
  assert.equal(first.said.get('data'), folder)
  const put = { Bucket: 'photos', Key: 'a photo', Body: 'its bytes' }
  await clientFor(t, first.said, secret).send(new PutObjectCommand(put))
  assert.equal(await first.stop('SIGINT'), 0)
  assert.equal(first.errors(), '')
  assert.equal((await stat(join(folder, 'credentials.json'))).mode & 0o777, 0o600)

  const second = await start(t, ['--folder', folder])
  assert.equal(second.said.get('access key id'), first.said.get('access key id'))
  assert.equal(second.said.get('secret access key'), `in ${join(folder, 'credentials.json')}`)
  const get = new GetObjectCommand({ Bucket: 'photos', Key: 'a photo' })
  const found = await clientFor(t, second.said, secret).send(get)
  assert.equal(await found.Body!.transformToString(), 'its bytes')
  assert.equal(await second.stop('SIGTERM'), 0)
})

test('credentials of the environment are used, and neither printed nor kept', async (t) => {
  const folder = await temporaryFolder(t)
  const { said, output } = await start(t, ['--folder', folder], fromEnvironment)
  assert.equal(said.get('access key id'), 'AKIDGIVEN')
  await clientFor(t, said, 'a given secret').send(new ListBucketsCommand({}))
  assert.doesNotMatch(output(), /a given secret/)
  await assert.rejects(stat(join(folder, 'credentials.json')), { code: 'ENOENT' })
})

test('in memory: several buckets, a region, a profile', async (t) => {
  const options = ['--memory', '--bucket', 'photos', '--bucket', 'videos', '--region', 'eu-central-1']
  const { said } = await start(t, [...options, '--profile', 'gcs'])
  assert.equal(said.get('buckets'), 'photos, videos')
  assert.equal(said.get('data'), 'in memory')
  const client = clientFor(t, said, said.get('secret access key')!, 'eu-central-1')
  const { Buckets } = await client.send(new ListBucketsCommand({}))
  assert.deepEqual(
    Buckets!.map(({ Name }) => Name),
    ['photos', 'videos'],
  )
  // What the profile says of Google's S3 dress.
  const remove = new DeleteObjectsCommand({ Bucket: 'photos', Delete: { Objects: [{ Key: 'a' }] } })
  await assert.rejects(client.send(remove), { name: 'NotImplemented' })
})

test('a mistake on the command line is told with its remedy; the exit code is 2', async (t) => {
  const { STRICT_S3_ACCESS_KEY_ID } = fromEnvironment
  const mistakes: { args: string[]; says: RegExp; env?: Record<string, string> }[] = [
    { args: [], says: /^Give --folder PATH .* or --memory/ },
    { args: ['--memory', '--folder', 'data'], says: /^Give either --folder or --memory/ },
    { args: ['--folder', ''], says: /^--folder is empty/ },
    { args: ['--folder'], says: /--folder/ },
    { args: ['--memory', '--prot', '9000'], says: /--prot/ },
    { args: ['--memory', 'photos'], says: /photos/ },
    { args: ['--memory', '--port', '70000'], says: /^--port 70000 is no port.* 65535/ },
    { args: ['--memory', '--port', '90x'], says: /^--port 90x is no port/ },
    { args: ['--memory', '--bucket', 'My_Photos'], says: /^--bucket My_Photos is no bucket name/ },
    { args: ['--memory', '--profile', 'toString'], says: /^--profile toString is not known.*hetzner/ },
    { args: ['--memory'], says: /^Set both .*, or neither/, env: { STRICT_S3_ACCESS_KEY_ID } },
  ]
  for (const { args, says, env } of mistakes) {
    const { code, output, errors } = await runToEnd(t, args, env)
    assert.equal(code, 2, `${args}: ${errors}`)
    assert.match(errors, says)
    assert.match(errors, /"strict-s3 --help"/)
    assert.doesNotMatch(errors, /^\s+at /m, 'no stack')
    assert.equal(output, '')
  }
})

test('a start that fails says why in a sentence; the exit code is 1', async (t) => {
  const folder = await temporaryFolder(t)
  const running = await start(t, ['--folder', folder])
  const port = new URL(running.said.get('endpoint')!).port
  const spoilt = await temporaryFolder(t)
  await writeFile(join(spoilt, 'credentials.json'), '{')
  for (const [args, says] of [
    [['--folder', folder, '--port', '0'], /is in use by process \d+; end it first, or give another folder/],
    [['--memory', '--port', port], /Port \d+ of 127\.0\.0\.1 is in use\. Give another --port/],
    [['--folder', spoilt, '--port', '0'], /credentials\.json holds no credentials\. Remove it/],
  ] as [string[], RegExp][]) {
    const { code, errors } = await runToEnd(t, args)
    assert.equal(code, 1, errors)
    assert.match(errors, /^strict-s3 does not start\. /)
    assert.match(errors, says)
    assert.doesNotMatch(errors, /^\s+at /m, 'no stack')
  }
  assert.equal(await readFile(join(spoilt, 'credentials.json'), 'utf8'), '{', 'left as it was')
})

test('--help tells every option and every profile', async (t) => {
  const { code, output, errors } = await runToEnd(t, ['--help'])
  assert.equal(code, 0)
  assert.equal(errors, '')
  const options = ['folder', 'memory', 'port', 'host', 'bucket', 'region', 'profile', 'help']
  for (const name of options) assert.ok(output.includes(`--${name} `), name)
  for (const name of Object.keys(profiles)) assert.ok(output.includes(name), name)
})
