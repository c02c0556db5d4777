import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FORM_PACE, PUBLIC_BODY, SMALL_BODY } from '../../../src/http/bodies/limits.ts'
import type { StatedRoute } from '../../../src/http/server.ts'
import { type AttackedServer, startAttackedServer } from '../../support/http/attacked-server.ts'
import { assertNobodyWaited } from '../../support/http/longest-stall.ts'
import { shoot, shootAll } from '../../support/http/shoot.ts'
import { VALID_REQUESTS } from './valid-requests.ts'
import {
  pathOf,
  type WrongRequest,
  wrongBodies,
  wrongFields,
  wrongPaths,
  wrongQueries,
} from './wrong-requests.ts'

/** After lists of 10 MB: what V8 and malloc keep for the next ones. */
const MAX_GROWTH_BYTES = 400 * 1024 * 1024

const nameOf = (route: StatedRoute) => `${route.method} ${route.url}`
const validFor = (route: StatedRoute) => VALID_REQUESTS[nameOf(route)] ?? {}
const readsBody = ({ method }: StatedRoute) => method !== 'GET'
/** Logging out ends the session that the rest is done with. */
const isLogout = (route: StatedRoute) => route.url === '/api/auth/logout'

test('every route of the API, whatever is sent to it', async (t) => {
  const server = await startAttackedServer(t)
  const routes = server.routes.filter(({ method }) => method !== 'HEAD')
  const asUser = { authorization: `Bearer ${server.token}` }

  await t.test('what each route that changes something reads is known to this test', () => {
    const unknown = routes
      .filter(readsBody)
      .map(nameOf)
      .filter((name) => VALID_REQUESTS[name] === undefined)
    assert.deepEqual(unknown, [])
    const gone = Object.keys(VALID_REQUESTS).filter((name) => !routes.some((route) => nameOf(route) === name))
    assert.deepEqual(gone, [])
  })

  await attack(t, server, 'wrong paths, queries and headers are refused, or do no harm', function* () {
    for (const route of routes) {
      if (isLogout(route)) continue
      for (const shot of [...wrongPaths(route), ...wrongQueries(route, validFor(route))]) {
        yield { route, shot: { ...shot, headers: { ...shot.headers, ...asUser } } }
      }
    }
  })

  await attack(t, server, 'B1: bodies that are wrong in every way are refused, or do no harm', function* () {
    for (const route of routes.filter(readsBody)) {
      if (isLogout(route)) continue
      const mostBytes = (route.body ?? (route.access.who === 'public' ? PUBLIC_BODY : SMALL_BODY)).maxBytes
      for (const shot of [...wrongBodies(route, mostBytes), ...wrongFields(route, validFor(route))]) {
        if (route.takesForm && shot.announcedBytes !== undefined) continue // of files; see form.test.ts
        const mayBe = shot.announcedBytes === undefined ? undefined : [413]
        yield { route, shot: { ...shot, headers: { ...shot.headers, ...asUser } }, mayBe }
      }
    }
  })

  await attack(t, server, 'B2: nobody without an account has a body read', function* () {
    for (const route of routes) {
      const isPublic = route.access.who === 'public'
      if (isPublic && !readsBody(route)) continue
      const shot = {
        what: 'a GiB to come',
        method: route.method,
        path: pathOf(route),
        announcedBytes: 2 ** 30,
      }
      const headers = { 'content-type': 'application/json' }
      yield { route, shot: { ...shot, headers }, mayBe: [isPublic ? 413 : 401] }
      if (isPublic) for (const shot of wrongBodies(route, PUBLIC_BODY.maxBytes)) yield { route, shot }
    }
  })

  await t.test(
    'B2: on every route a body that does not go on is given up',
    { timeout: 120_000 },
    async () => {
      await undisturbed(server, async () => {
        const waiting = routes.filter((route) => readsBody(route) && !route.takesForm && !isLogout(route))
        const answers = await Promise.all(
          waiting.map(async (route) => {
            // An agent of its own for each: they are open all at once.
            const { status } = await shoot(server.url, {
              method: route.method,
              path: pathOf(route),
              headers: { ...asUser, 'content-type': 'application/json' },
              body: '{"name":',
              announcedBytes: 1_000,
              isAlone: true,
            })
            return [nameOf(route), status]
          }),
        )
        assert.deepEqual(
          answers.filter(([, status]) => status !== 408),
          [],
        )
      })
      // Files may be slow: their pace is not one that this test can wait for, see pace.test.ts.
      assert.ok(FORM_PACE.withinSeconds >= 60)
    },
  )

  await t.test('B1: lists of all ids, right and wrong, keep nobody waiting', async () => {
    await undisturbed(server, async () => {
      const one = '11111111-1111-4111-8111-111111111111'
      const lists = {
        'right ids': `["${Array<string>(250_000).fill(one).join('","')}"]`,
        'wrong ids': `[${Array<string>(290_000).fill('0').join(',')}]`,
        'lists in a list': `[${Array<string>(145_000).fill('[]').join(',')}]`,
      }
      for (const route of routes.filter(({ body }) => (body?.maxBytes ?? 0) > 1024 ** 2)) {
        const [field] = Object.entries(validFor(route).body!).findLast(([, value]) => Array.isArray(value))!
        const rest = JSON.stringify({ ...validFor(route).body, [field]: undefined }).slice(1, -1)
        for (const [what, list] of Object.entries(lists)) {
          const body = `{${rest}${rest && ','}"${field}":${list}}`
          const headers = { ...asUser, 'content-type': 'application/json' }
          const { status, text } = await shoot(server.url, {
            method: route.method,
            path: pathOf(route),
            headers,
            body,
          })
          assert.ok(status < 500, `${nameOf(route)}, ${what}: ${status} ${text}`)
          assert.ok(text.length < 20_000 || status === 200, `${nameOf(route)}, ${what}: a long refusal`)
        }
      }
    })
  })

  await t.test('the server is well afterwards, for everybody', async () => {
    assert.equal((await shoot(server.url, { method: 'GET', path: '/api/server/ping' })).status, 200)
    const me = await shoot(server.url, { method: 'GET', path: '/api/users/me', headers: asUser })
    assert.equal(me.status, 200)
  })
})

type Attack = { route: StatedRoute; shot: WrongRequest; mayBe?: number[] | undefined }

async function attack(
  t: TestContext,
  server: AttackedServer,
  name: string,
  attacks: () => Iterable<Attack>,
): Promise<void> {
  await t.test(name, async () => {
    const harm: string[] = []
    await undisturbed(server, () =>
      shootAll(attacks(), async ({ route, shot, mayBe }) => {
        const { status, text } = await shoot(server.url, shot).catch((error: Error) => ({
          status: 599,
          text: `no answer: ${error.message}`,
        }))
        const isFine = mayBe?.includes(status) ?? (status < 500 || status === 503)
        if (!isFine) harm.push(`${nameOf(route)}, ${shot.what}: ${status} ${text}`)
      }),
    )
    assert.deepEqual(harm, [])
  })
}

/** While `work` is done, a small request is answered again and again, and little memory is taken. */
async function undisturbed(server: AttackedServer, work: () => Promise<void>): Promise<void> {
  const before = await server.collected()
  let isOver = false
  const pinging = (async () => {
    for (; !isOver; await sleep(20)) {
      const { status } = await shoot(server.url, { method: 'GET', path: '/api/server/ping', isAlone: true })
      assert.equal(status, 200)
    }
  })()
  try {
    await work()
  } finally {
    isOver = true
    await pinging
  }
  assertNobodyWaited(await server.facts())
  const { rssBytes } = await server.collected()
  assert.ok(rssBytes - before.rssBytes <= MAX_GROWTH_BYTES, `grew by ${rssBytes - before.rssBytes} bytes`)
}
