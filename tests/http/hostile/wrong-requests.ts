/** What `every-route.test.ts` sends to a route: everything that is wrong with one that it would take. */
import type { StatedRoute } from '../../../src/http/server.ts'
import type { Shot } from '../../support/http/shoot.ts'
import type { ValidRequest } from './valid-requests.ts'

const ID = '11111111-1111-4111-8111-111111111111'
const PARAMETERS: Record<string, string> = { name: 'metadataExtraction', locationId: 'local' }
const JSON_TYPE = { 'content-type': 'application/json' }

export type WrongRequest = Shot & { what: string }

/** The path of the route, its parameters filled with `value`, or with something that could be one. */
export function pathOf(route: Pick<StatedRoute, 'url'>, value?: string): string {
  return route.url.replace('/*', '/x').replaceAll(/:(\w+)/g, (_, name) => value ?? PARAMETERS[name] ?? ID)
}

const WRONG_PARAMETERS = [
  '%00',
  '%ff',
  'x',
  '9'.repeat(150),
  'x'.repeat(250),
  '%F0%9F%98',
  `${ID}%00`,
  '..%2f..',
  "'",
]

export function* wrongPaths(route: StatedRoute): Generator<WrongRequest> {
  const { method } = route
  if (route.url.includes(':')) {
    for (const value of WRONG_PARAMETERS) {
      yield { what: `parameter ${value.slice(0, 20)}`, method, path: pathOf(route, value) }
    }
  }
  const path = pathOf(route)
  yield { what: 'a long query', method, path: `${path}?x=${'y'.repeat(12_000)}` }
  yield { what: 'many parameters', method, path: `${path}?${'a&'.repeat(5_000)}` }
  yield { what: 'a query that is no text', method, path: `${path}?%=%zz&%00=%00&id=%ff&__proto__=1&[]=1` }
  yield { what: 'long headers', method, path, headers: { 'x-long': 'y'.repeat(30_000) } }
  yield { what: 'a long cookie', method, path, headers: { cookie: `a=${'b;'.repeat(5_000)}` } }
  yield { what: 'a strange type', method, path, headers: { 'content-type': '\xff/;;=' }, body: '{}' }
}

const WRONG_TEXTS = [
  '',
  '-1',
  '1e400',
  '9'.repeat(40),
  '%00',
  '%ed%a0%80',
  'x'.repeat(5_000),
  'null',
  "'",
  '0000-00-00',
]

export function* wrongQueries(route: StatedRoute, { query = {} }: ValidRequest): Generator<WrongRequest> {
  for (const name of Object.keys(query)) {
    const rest = Object.entries(query).filter(([other]) => other !== name)
    const path = `${pathOf(route)}?${new URLSearchParams(rest as [string, string][])}`
    for (const text of WRONG_TEXTS) {
      yield { what: `${name}=${text.slice(0, 20)}`, method: route.method, path: `${path}&${name}=${text}` }
    }
    yield { what: `${name} twice`, method: route.method, path: `${path}&${name}=1&${name}=2` }
  }
}

const WRONG_VALUES = [
  'null',
  '-1',
  '1e308',
  '1e400',
  '0.5',
  '"a\\u0000\\ud800"',
  '""',
  '[]',
  '[null]',
  '{}',
  `"${'x'.repeat(15_000)}"`,
]

/** Each field of a valid body wrong in turn. */
export function* wrongFields(route: StatedRoute, { body }: ValidRequest): Generator<WrongRequest> {
  const shot = { method: route.method, path: pathOf(route), headers: JSON_TYPE }
  for (const name of Object.keys(body ?? {})) {
    for (const value of WRONG_VALUES) {
      const rest = JSON.stringify({ ...body, [name]: undefined }).slice(1, -1)
      const wrong = `{${rest}${rest === '' ? '' : ','}${JSON.stringify(name)}:${value}}`
      yield { ...shot, what: `${name}: ${value.slice(0, 20)}`, body: wrong }
    }
  }
}

const WRONG_BODIES: Record<string, string | Buffer> = {
  'deep lists': '['.repeat(5_000),
  'deep objects': '{"a":'.repeat(1_500),
  'a list': '[]',
  'a text': '"x"',
  'nothing but null': 'null',
  'a number without end': `{"size":${'9'.repeat(5_000)}}`,
  'half a body': '{"a":',
  'the prototype': '{"__proto__":{"a":1},"constructor":{"prototype":1}}',
  'many keys': `{${Array.from({ length: 2_000 }, (_, n) => `"k${n}":1`).join(',')}}`,
  'many values': `{"ids":[${'0,'.repeat(3_500)}0]}`,
  'a raw NUL': '{"name":"a\0b"}',
  'no UTF-8': Buffer.from('{"name":"\xff\xfe\xc3"}', 'latin1'),
  'UTF-16': Buffer.from('\ufeff{"name":"a"}', 'utf16le'),
  'a BOM': '\ufeff{}',
}
const OTHER_TYPES = [
  'text/plain',
  'application/xml',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'multipart/form-data; boundary=x',
]

/** `mostBytes`: what the route takes. */
export function* wrongBodies(route: StatedRoute, mostBytes: number): Generator<WrongRequest> {
  const shot = { method: route.method, path: pathOf(route), headers: JSON_TYPE }
  for (const [what, body] of Object.entries(WRONG_BODIES)) yield { ...shot, what, body }
  for (const type of OTHER_TYPES) {
    yield { ...shot, what: type, headers: { 'content-type': type }, body: '--x\r\nfalse\r\n' }
  }
  yield { ...shot, what: 'no type', headers: {}, body: '{}' }
  yield { ...shot, what: 'a byte too many', announcedBytes: mostBytes + 1 }
}
