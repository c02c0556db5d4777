/**
 * The server and the command line as processes of their own, on one data folder: start, stop, kill, start
 * again.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { until } from '../support/eventually.ts'
import { type Answer, runCli } from '../support/run-cli.ts'
import { type SpawnedServer, spawnServer } from '../support/spawn-server.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
let folder: string
let dataDir: string

before(async () => {
  folder = await mkdtemp(join(memoryFolder(), 'glassine-lifecycle-'))
  dataDir = join(folder, 'data')
})
after(async () => {
  const postgres = await postmasterPid().catch(() => null)
  if (postgres !== null && (await findProcess(postgres)) !== null) {
    process.kill(postgres, 'SIGQUIT') // a test failed
    await gone(postgres)
  }
  await rm(folder, { recursive: true, force: true })
})

const postmasterPid = async () =>
  Number((await readFile(join(dataDir, 'postgres', 'cluster', 'postmaster.pid'), 'utf8')).split('\n')[0])

async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if ((await findProcess(pid)) === null) return true
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return false
}

const servers: SpawnedServer[] = []

/**
 * A server that has said that it is ready, which is a little after its first ping. It does not outlive a
 * failed test.
 */
async function serve(): Promise<SpawnedServer> {
  const server = await spawnServer({ dataDir })
  servers.push(server)
  await until('it is ready', async () => server.output().includes('Glassine is ready'))
  return server
}

afterEach(async () => {
  for (const server of servers.splice(0)) {
    if ((await findProcess(server.pid)) !== null) await server.kill9()
  }
})

const glassine = (
  args: string[],
  { input, env }: { input?: string; env?: Record<string, string> } = {},
): Promise<Answer> => runCli(args, { cwd: folder, input, env: { GLASSINE_DATA: dataDir, ...env } })

/** `bin/server.ts` that is expected to end by itself. */
async function failingServer(env: Record<string, string>): Promise<Answer> {
  const child = spawn(process.execPath, ['src/bin/server.ts'], {
    cwd: PROJECT,
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      GLASSINE_DATA: dataDir,
      GLASSINE_HOST: '127.0.0.1',
      GLASSINE_PORT: '0',
      ...env,
    },
  })
  return collect(child)
}

async function collect(child: ChildProcess): Promise<Answer> {
  const answer = { code: -1, stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => {
    answer.stdout += chunk
  })
  child.stderr?.on('data', (chunk) => {
    answer.stderr += chunk
  })
  const [code] = await once(child, 'close')
  return { ...answer, code }
}

async function login(server: SpawnedServer): Promise<number> {
  const response = await fetch(`${server.url}/api/auth/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'ada@example.org', password: 'correct horse' }),
  })
  await response.body?.cancel()
  return response.status
}

describe('the life of a server', { concurrency: 1 }, () => {
  test('it says where it is and what the demonstration bucket is; SIGTERM ends it and its PostgreSQL', async () => {
    const server = await serve()
    assert.match(server.output(), /Glassine is ready: http:\/\/localhost:\d+/)
    assert.match(server.output(), /demonstration bucket/)
    assert.match(server.output(), /set storage\.s3 in glassine\.yaml/)
    const postgres = await postmasterPid()
    const created = await glassine(
      ['users', 'create', '--email', 'ada@example.org', '--name', 'Ada', '--password-stdin'],
      {
        input: 'correct horse\n',
      },
    )
    assert.equal(created.code, 0, created.stderr)
    assert.match(created.stdout, /Ada <ada@example\.org> can log in, as an administrator/)
    assert.notEqual(await findProcess(postgres), null, "the command line leaves the server's database alone")
    assert.equal(await login(server), 201)
    const { code, tookMs } = await server.stop()
    assert.equal(code, 0, server.output())
    assert.ok(tookMs < 10_000)
    assert.ok(await gone(postgres))
  })

  test('the second start finds everything again, also after kill -9, when PostgreSQL was left running', async () => {
    const killed = await serve()
    const postgres = await postmasterPid()
    assert.equal(await login(killed), 201)
    await killed.kill9()
    assert.notEqual(await findProcess(postgres), null)
    const server = await serve()
    assert.equal(await postmasterPid(), postgres)
    assert.equal(await login(server), 201)
    assert.equal((await server.stop()).code, 0)
    assert.ok(await gone(postgres))
  })

  test('Ctrl-C, which reaches every process of the group, lets PostgreSQL end last and in order', async () => {
    const child = spawn(process.execPath, ['src/bin/server.ts'], {
      cwd: PROJECT,
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        GLASSINE_DATA: dataDir,
        GLASSINE_HOST: '127.0.0.1',
        GLASSINE_PORT: '0',
      },
      detached: true,
    })
    const ended = collect(child)
    await once(child.stdout!, 'data')
    const postgres = await postmasterPid()
    process.kill(-child.pid!, 'SIGINT')
    const { code, stderr } = await ended
    assert.equal(code, 0, stderr)
    assert.doesNotMatch(stderr, /terminating connection/)
    assert.ok(await gone(postgres))
    assert.match(
      await readFile(join(dataDir, 'postgres', 'server.log'), 'utf8'),
      /database system is shut down\s*$/,
    )
  })

  test('Ctrl-C during the start leaves nothing behind', async () => {
    const child = spawn(process.execPath, ['src/bin/server.ts'], {
      cwd: PROJECT,
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        GLASSINE_DATA: dataDir,
        GLASSINE_HOST: '127.0.0.1',
        GLASSINE_PORT: '0',
      },
    })
    const ended = collect(child)
    let postgres = Number.NaN
    while (Number.isNaN(postgres) || (await findProcess(postgres)) === null) {
      postgres = await postmasterPid().catch(() => Number.NaN)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    child.kill('SIGINT')
    assert.equal((await ended).code, 0)
    assert.ok(await gone(postgres))
  })

  test('the second signal ends everything at once', async () => {
    const server = await serve()
    const postgres = await postmasterPid()
    // An answer under way, which the first signal waits for: "100 Continue" says that the server has the
    // request.
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    socket.write(
      'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n',
    )
    const [begun] = await once(socket, 'data')
    assert.match(String(begun), /^HTTP\/1\.1 100 /)
    const first = server.stop()
    await until('it stops', () => server.output().includes('a second signal ends it at once'))
    const { code, tookMs } = await server.stop()
    await first
    assert.equal(code, 143)
    assert.ok(tookMs < 1_000, `${tookMs} ms`)
    assert.ok(await gone(postgres))
    socket.destroy()
  })

  test('a worker of its own shares the database and the demonstration bucket with the server', async () => {
    const server = await serve()
    const child = spawn(process.execPath, ['src/bin/worker.ts'], {
      cwd: PROJECT,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, GLASSINE_DATA: dataDir },
    })
    const ended = collect(child)
    let output = ''
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    await until('the worker runs', async () => output.includes('the worker runs'), 30_000)
    const postgres = await postmasterPid()
    assert.equal((await server.stop()).code, 0)
    assert.notEqual(await findProcess(postgres), null, 'the worker still uses it')
    child.kill('SIGTERM')
    assert.equal((await ended).code, 0, output)
    assert.ok(await gone(postgres))
  })

  test('the command line works while no server runs, and stops the PostgreSQL that it started', async () => {
    const status = await glassine(['storage', 'status', '--json'])
    assert.equal(status.code, 0, status.stderr)
    assert.equal(JSON.parse(status.stdout).originals.total.count, 0)
    const text = await glassine(['storage', 'status'])
    assert.match(text.stdout, /^No photos or videos yet\.\n/)
    const probe = await glassine(['storage', 'probe'])
    assert.equal(probe.code, 0, probe.stdout + probe.stderr)
    assert.match(probe.stdout, /^demonstration is fine/m)
    await assert.rejects(postmasterPid(), { code: 'ENOENT' })
  })

  test('a password is made up where nobody can be asked; a taken address is an error of the caller', async () => {
    const created = await glassine(['users', 'create', '--email', 'bob@example.org', '--json'])
    const user = JSON.parse(created.stdout)
    assert.equal(user.shouldChangePassword, true)
    assert.ok(user.password.length >= 12)
    const again = await glassine(['users', 'create', '--email', 'bob@example.org'])
    assert.equal(again.code, 2)
    assert.notEqual(again.stderr, '')
    assert.equal((await glassine(['users', 'create'])).code, 2)
    assert.equal((await glassine(['storage', 'receipt', 'beach.jpg'])).code, 2)
    assert.equal((await glassine(['storage', 'receipt', '00000000-0000-4000-8000-000000000000'])).code, 2)
    assert.equal((await glassine(['--help'])).code, 0)
  })

  test('users are listed, have a quota, and get a new password; what is wrong is said before anything is done', async () => {
    const bad = await glassine(['users', 'create', '--email', 'bad'])
    assert.deepEqual([bad.code, bad.stdout], [2, ''])
    assert.match(bad.stderr, /--email: "bad" is not an e-mail address; write one such as/)
    const noSize = await glassine(['users', 'quota', 'bob@example.org', 'much'])
    assert.equal(noSize.code, 2)
    assert.match(noSize.stderr, /"much" is not a size: write one such as 50GiB, or none/)
    const nobody = await glassine(['users', 'quota', 'nobody@example.org', '1GB'])
    assert.deepEqual([nobody.code, nobody.stderr], [1, 'no user has the address "nobody@example.org"\n'])

    const given = await glassine(['users', 'quota', 'Bob@Example.org', '1.5 GiB'])
    assert.equal(given.stdout, 'bob@example.org may upload 1.50 GiB in all, and uses 0 B.\n')
    const reset = await glassine(['users', 'reset-password', 'ada@example.org', '--password-stdin'], {
      input: 'horse battery\n',
    })
    assert.equal(reset.code, 0, reset.stderr)
    const madeUp = JSON.parse(
      (await glassine(['users', 'reset-password', 'bob@example.org', '--json'])).stdout,
    )
    assert.ok(madeUp.password.length >= 12)
    const { stdout } = await glassine(['users', 'list'])
    assert.match(stdout, /^ada@example\.org +Ada +0 B +none +.* ago +administrator$/m)
    assert.match(stdout, /^bob@example\.org +bob +0 B +1\.50 GiB +.* ago +has to change the password$/m)

    const asked = await glassine(['users', 'delete', 'bob@example.org'])
    assert.equal(asked.code, 3, asked.stderr)
    assert.match(
      asked.stdout,
      /^bob@example\.org has 0 photos and 0 videos, 0 B\. With --yes this user is deleted/,
    )
    const only = await glassine(['users', 'delete', 'ada@example.org', '--yes'])
    assert.deepEqual([only.code, only.stderr], [2, 'The only administrator can not be deleted\n'])
    const deleted = JSON.parse(
      (await glassine(['users', 'delete', 'bob@example.org', '--yes', '--json'])).stdout,
    )
    assert.equal(deleted.status, 'deleted')
    assert.match((await glassine(['users', 'list'])).stdout, /^bob@example\.org .* deleted \d+ \w+ ago$/m)
    const restored = await glassine(['users', 'restore', 'Bob@Example.org'])
    assert.equal(restored.stdout, 'bob@example.org is back and can log in, with all they have.\n')

    const server = await serve()
    const login = (email: string, password: string) =>
      fetch(`${server.url}/api/auth/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email, password }),
      })
    assert.equal((await login('ada@example.org', 'correct horse')).status, 401)
    assert.equal((await login('ada@example.org', 'horse battery')).status, 201)
    const bob = await login('bob@example.org', madeUp.password)
    assert.equal(((await bob.json()) as { shouldChangePassword: boolean }).shouldChangePassword, true)
    await server.stop()
  })

  test('a bucket that is away: who starts it is told in the welcome, and the log has one line of it', async (t) => {
    const other = await mkdtemp(join(memoryFolder(), 'glassine-away-'))
    t.after(() => rm(other, { recursive: true, force: true }))
    const s3 = '{ endpoint: "http://127.0.0.1:9", bucket: photos, accessKeyId: a, secretAccessKey: hunter2 }'
    const config = `storage: { s3: ${s3}, upload: { retryDelayMs: 1 } }\n`
    const server = await spawnServer({ dataDir: join(other, 'data'), config })
    servers.push(server)
    await until('it is ready', async () => server.output().includes('Glassine is ready'))
    const [, welcome] = server.output().split('Glassine is ready')
    assert.match(welcome!, /^Not well: photos\/ at http:\/\/127\.0\.0\.1:9 \(.*ECONNREFUSED.*\)$/m)
    assert.match(welcome!, /Browsing and uploading go on/)
    const told = server
      .output()
      .split('\n')
      .filter((line) => line.includes('"an outage begins'))
    assert.equal(told.length, 1, server.output())
    assert.doesNotMatch(server.output(), /hunter2|not usable yet/)
    await server.stop()
  })

  test('a port that is in use: one line, exit code 1, nothing left running', async (t) => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    t.after(() => squatter.close())
    const { port } = squatter.address() as { port: number }
    const { code, stderr } = await failingServer({ GLASSINE_PORT: String(port) })
    assert.equal(code, 1)
    assert.match(
      stderr,
      new RegExp(`^Glassine does not start\\. Port ${port} of 127\\.0\\.0\\.1 is in use.*\\n$`),
    )
    await assert.rejects(postmasterPid(), { code: 'ENOENT' })
  })

  test('mistakes in the configuration: all of them, exit code 1', async () => {
    const file = join(folder, 'wrong.yaml')
    await writeFile(file, 'storag: {}\nserver: { port: x }\n')
    const { code, stderr } = await failingServer({ GLASSINE_CONFIG: file, GLASSINE_PORT: '' })
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^2 mistakes in .*wrong\.yaml:\n {2}server\.port: .*\n {2}storag: .*did you mean storage\?\n$/,
    )
  })

  test('a provider that nobody knows: which may be meant, exit code 1, and nothing was started', async () => {
    const file = join(folder, 'provider.yaml')
    await writeFile(file, 'storage: { s3: { bucket: photos, provider: backblaze } }\n')
    const { code, stderr } = await failingServer({ GLASSINE_CONFIG: file })
    assert.equal(code, 1)
    assert.match(
      stderr,
      /^A mistake in the configuration:\n {2}storage\.s3\.provider: .*write auto, or one of aws, .*\n$/,
    )
  })

  test('a PostgreSQL that is not there: the key, the reason, exit code 1', async () => {
    const file = join(folder, 'away.yaml')
    await writeFile(file, 'database: { url: "postgres://glassine:hunter2@127.0.0.1:1/glassine" }\n')
    const { code, stderr } = await failingServer({ GLASSINE_CONFIG: file })
    assert.equal(code, 1)
    assert.match(stderr, /^Glassine does not start\. database\.url: .*ECONNREFUSED/)
    assert.doesNotMatch(stderr, /hunter2/)
  })

  test('a media location whose mount is missing: it refuses to start rather than write beside it', async (t) => {
    const media = join(dataDir, 'media')
    await rename(media, `${media}.away`)
    t.after(async () => {
      await rm(media, { recursive: true, force: true })
      await rename(`${media}.away`, media)
    })
    const { code, stderr } = await failingServer({})
    assert.equal(code, 1)
    assert.match(stderr, /^Glassine does not start\. .*marker.*is it mounted/)
    await assert.rejects(postmasterPid(), { code: 'ENOENT' })
  })
})
