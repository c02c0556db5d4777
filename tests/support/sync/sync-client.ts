/**
 * Reads and acknowledges the sync stream as strictly as a client that stops at the first thing it does not
 * know.
 */
import assert from 'node:assert/strict'
import type { Client } from '../client.ts'
import { assertShape } from '../http/sdk-shapes.ts'

export type Line = { type: string; data: Record<string, unknown>; ack: string }

/** The SDK's types of `data` whose names are not `Sync<type of line>`. */
const SHAPES: Record<string, string> = {
  PartnerAssetDeleteV1: 'SyncAssetDeleteV1',
  PartnerAssetBackfillV2: 'SyncAssetV2',
  PartnerAssetV2: 'SyncAssetV2',
  PartnerAssetExifBackfillV1: 'SyncAssetExifV1',
  PartnerAssetExifV1: 'SyncAssetExifV1',
  PartnerStackDeleteV1: 'SyncStackDeleteV1',
  PartnerStackBackfillV1: 'SyncStackV1',
  PartnerStackV1: 'SyncStackV1',
  MemoryToAssetV1: 'SyncMemoryAssetV1',
  MemoryToAssetDeleteV1: 'SyncMemoryAssetDeleteV1',
  AlbumAssetBackfillV2: 'SyncAssetV2',
  AlbumAssetUpdateV2: 'SyncAssetV2',
  AlbumAssetCreateV2: 'SyncAssetV2',
  AlbumAssetExifBackfillV1: 'SyncAssetExifV1',
  AlbumAssetExifUpdateV1: 'SyncAssetExifV1',
  AlbumAssetExifCreateV1: 'SyncAssetExifV1',
  AlbumUserBackfillV1: 'SyncAlbumUserV1',
  AlbumToAssetBackfillV1: 'SyncAlbumToAssetV1',
}

type Caller = Pick<Client, 'call'>

export async function post(client: Caller, path: string, body: unknown, method = 'POST'): Promise<Response> {
  return client.call(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

/** All lines, the final one included. */
export async function readStream(
  client: Caller,
  types: readonly string[],
  options: object = {},
): Promise<Line[]> {
  const response = await post(client, '/sync/stream', { types, ...options })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type') ?? '', /^application\/jsonlines\+json/)
  return parseLines(await response.text())
}

export function parseLines(text: string): Line[] {
  assert.ok(text.endsWith('\n'), 'the last line ends with a line feed, too')
  return text.slice(0, -1).split('\n').map(parseLine)
}

function parseLine(text: string): Line {
  const line = JSON.parse(text) as Line
  assert.deepEqual(Object.keys(line), ['type', 'data', 'ack'])
  assert.equal(typeof line.ack, 'string')
  const shape = SHAPES[line.type] ?? `Sync${line.type.replace(/^Sync/, '')}`
  assertShape(line.data, shape)
  return line
}

/** The lines without `SyncCompleteV1`, which must be the last. */
export async function sync(client: Caller, ...types: string[]): Promise<Line[]> {
  const lines = await readStream(client, types)
  const last = lines.pop()
  assert.equal(last?.type, 'SyncCompleteV1')
  assert.ok(lines.every(({ type }) => type !== 'SyncCompleteV1'))
  return lines
}

export async function acknowledge(client: Caller, acks: readonly string[]): Promise<void> {
  const response = await post(client, '/sync/ack', { acks })
  assert.equal(response.status, 204, await response.text())
}

/** The last of each type, and then what the lines acknowledge for others. */
export async function ackAll(client: Caller, lines: readonly Line[]): Promise<void> {
  const last = new Map(lines.filter(({ type }) => type !== 'SyncAckV1').map(({ type, ack }) => [type, ack]))
  const others = lines.filter(({ type }) => type === 'SyncAckV1').map(({ ack }) => ack)
  await acknowledge(client, [...last.values(), ...others])
}

/** Acknowledges these lines, and expects the next stream to have nothing. */
export async function ackAndExpectNothing(
  client: Caller,
  lines: readonly Line[],
  ...types: string[]
): Promise<void> {
  await ackAll(client, lines)
  assert.deepEqual(await sync(client, ...types), [])
}

export const typesOf = (lines: readonly Line[]): string[] => lines.map(({ type }) => type)
export const dataOf = (lines: readonly Line[]): unknown[] => lines.map(({ data }) => data)
